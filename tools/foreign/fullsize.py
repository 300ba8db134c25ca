"""tt_dit's programs at their real sizes, without weights' values: what tools/streams.py records.

PYTHONPATH=tt-metal python -m ttnn_emulator record --dry --system t3000 --out calls.jsonl \
    -m tools.foreign.fullsize mochi 2 t3000

The second argument counts the transformer's layers. What two layers call and one does not is one block. The last is the
system again: these programs know nothing of the emulator.
"""

import sys
from unittest import mock

import torch
import ttnn
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel, SD3Transformer2DModel, WanTransformer3DModel
from models.tt_dit.models.transformers import transformer_mochi, transformer_sd35
from models.tt_dit.models.transformers.wan2_2 import transformer_wan
from models.tt_dit.models.vae import vae_mochi
from models.tt_dit.parallel.config import DiTParallelConfig, MochiVAEParallelConfig, ParallelFactor
from models.tt_dit.parallel.manager import CCLManager
from models.tt_dit.utils.padding import PaddingConfig
from models.tt_dit.utils.tensor import bf16_tensor, float32_tensor

from helpers.planner.memory import REAL
from helpers.planner.plans import REAL as STILLS
from tools.foreign.setting import along
from ttnn_emulator.systems import find_system
from ttnn_emulator.transfers import NO_VALUES

# How their pipelines lay a model out on a mesh, from tt-metal@79925a3f: axes of sequence and matrices, links, topology,
# whether weights are cut over the sequence's axis too. pipeline_mochi.py, pipeline_wan.py and
# test_performance_sd35.py under models/tt_dit.
LINE, RING = ttnn.Topology.Linear, ttnn.Topology.Ring
MOCHI = {"t3000": (0, 1, 1, LINE, True), "galaxy": (1, 0, 4, LINE, True), "quietbox2": (0, 1, 2, LINE, True)}
WAN = {
    "t3000": (0, 1, 1, LINE, True),
    "galaxy_torus": (1, 0, 4, RING, True),
    "quietbox2": (0, 1, 2, LINE, False),
    "p150x8": (1, 0, 2, LINE, False),
    "bh_galaxy": (1, 0, 2, LINE, False),
}
SD35 = {"t3000": ((2, 2), 1), "galaxy": ((4, 4), 4)}  # half of the mesh for each pass of guidance; links
DECODER = {"t3000": ((1, 8), 1), "galaxy": ((4, 8), 4), "quietbox2": ((1, 4), 2)}  # the mesh it is taken as; links
WAN_A14B = dict(num_attention_heads=40, attention_head_dim=128, text_dim=4096, ffn_dim=13824, cross_attn_norm=True)
FRAMES, TEXT = 28, 512  # latent frames of Mochi's 168; tokens of Wan's text


def main(program: str, layers: str, system: str) -> None:
    found = find_system(system)
    ttnn.set_fabric_config(ttnn.FabricConfig.FABRIC_1D_RING if found.torus else ttnn.FabricConfig.FABRIC_1D)
    mesh = ttnn.open_mesh_device(ttnn.MeshShape(*found.mesh))
    try:
        with torch.no_grad():
            PROGRAMS[program](mesh, program, int(layers), system)
    except RuntimeError as error:
        if NO_VALUES not in str(error):
            raise
    # There they read their result, which a dry run does not have. All is called by then.
    ttnn.close_mesh_device(mesh)


def laid_out(mesh, sp: int, tp: int, links: int, topology) -> dict:
    config = DiTParallelConfig(
        tensor_parallel=along(mesh, tp), sequence_parallel=along(mesh, sp), cfg_parallel=ParallelFactor(1, 0)
    )
    ccl = CCLManager(mesh_device=mesh, num_links=links, topology=topology)
    return dict(mesh_device=mesh, ccl_manager=ccl, parallel_config=config)


def without_values(model_class, **config) -> dict[str, torch.Tensor]:
    """A model's weights: shapes only"""
    with torch.device("meta"):
        state = model_class(**config).state_dict()
    return {name: torch.empty(value.shape) for name, value in state.items()}


def real(part: str) -> dict:
    """Mochi-1's config of a part, as its class takes it"""
    return {name: value for name, value in REAL[part].items() if name != "_class_name"}


def mochi(mesh, program, layers, system):
    """One pass of Mochi-1's denoiser, 168 frames of 848 x 480"""
    *how, fsdp = MOCHI[system]
    config = real("transformer") | dict(num_layers=layers)
    theirs = transformer_mochi.MochiTransformer3DModel(**config, **laid_out(mesh, *how), is_fsdp=fsdp)
    theirs.load_torch_state_dict(without_values(MochiTransformer3DModel, **config))
    latents = torch.zeros(1, 12, FRAMES, 60, 106)
    theirs(
        spatial=latents, prompt=torch.zeros(1, 256, 4096), timestep=torch.tensor([371.0]),
        prompt_attention_mask=torch.ones(1, 256),
    )  # fmt: skip


def decoder(mesh, program, _, system):
    """Mochi-1's decoder, 168 frames of 848 x 480"""
    shape, links = DECODER[system]
    if shape != tuple(mesh.shape):
        mesh.reshape(ttnn.MeshShape(*shape))
    over_frames = shape[0] == 1
    one = ParallelFactor(1, 0)
    parallel = MochiVAEParallelConfig(
        time_parallel=along(mesh, 1) if over_frames else ParallelFactor(1, 1),
        h_parallel=one if over_frames else along(mesh, 0),
        w_parallel=ParallelFactor(1, 1) if over_frames else along(mesh, 1),
    )
    config = real("vae")
    base = config["decoder_block_out_channels"][0]
    theirs = vae_mochi.MochiVAEDecoder(
        mesh_device=mesh, parallel_config=parallel,
        ccl_manager=CCLManager(mesh_device=mesh, num_links=links, topology=LINE),
        out_channels=3, base_channels=base,
        channel_multipliers=[channels // base for channels in config["decoder_block_out_channels"]],
        temporal_expansions=config["temporal_expansions"], spatial_expansions=config["spatial_expansions"],
        num_res_blocks=config["layers_per_block"], latent_dim=12,
        has_attention=[False] * 5, nonlinearity="silu", output_nonlinearity="silu",
        latents_mean=config["latents_mean"], latents_std=config["latents_std"], scaling_factor=1.0,
    )  # fmt: skip
    state = without_values(AutoencoderKLMochi, **config)
    mine = {k.removeprefix("decoder."): v for k, v in state.items() if k.startswith("decoder.")}
    with mock.patch.object(ttnn, "to_torch", lambda tensor, **options: torch.empty(tuple(tensor.shape))):
        theirs.load_torch_state_dict(mine)  # it reads weights back that ttnn has laid out, and here they have no values
    theirs.decode(torch.zeros(1, 12, FRAMES, 60, 106), return_dict=False)


def wan(mesh, program, layers, system):
    """One pass of one of Wan2.2-A14B's two denoisers, 81 frames of 832 x 480 or 1280 x 720"""
    *how, fsdp = WAN[system]
    height, width = (60, 104) if program == "wan480" else (90, 160)
    config = WAN_A14B | dict(num_layers=layers)
    rest = dict(config)
    heads, head_dim = rest.pop("num_attention_heads"), rest.pop("attention_head_dim")
    theirs = transformer_wan.WanTransformer3DModel(
        num_heads=heads, dim=heads * head_dim, **rest, **laid_out(mesh, *how), is_fsdp=fsdp
    )
    theirs.load_torch_state_dict(without_values(WanTransformer3DModel, **config))
    theirs(
        spatial=torch.zeros(1, 16, 21, height, width),
        prompt=bf16_tensor(torch.zeros(1, 1, TEXT, 4096), device=mesh),
        timestep=float32_tensor(torch.full((1, 1, 1, 1), 371.0), device=mesh),
    )


def sd35(mesh, program, layers, system):
    """One pass of SD 3.5 Large's denoiser, a picture of 1024 x 1024, on the half of the mesh that guidance gives it"""
    shape, links = SD35[system]
    mesh = mesh.create_submesh(ttnn.MeshShape(*shape))
    wanted = ("sample_size", "patch_size", "in_channels", "attention_head_dim", "num_attention_heads",
              "joint_attention_dim", "caption_projection_dim", "pooled_projection_dim", "out_channels",
              "pos_embed_max_size", "dual_attention_layers")  # fmt: skip
    config = {name: STILLS["sd35_large"][name] for name in wanted} | dict(num_layers=layers)
    placed = laid_out(mesh, 0, 1, links, LINE)
    theirs = transformer_sd35.SD35Transformer2DModel(
        **config, **placed, padding_config=PaddingConfig.from_tensor_parallel_factor(38, 64, shape[1])
    )
    theirs.load_torch_state_dict(without_values(SD3Transformer2DModel, **config, qk_norm="rms_norm"))
    patches = theirs.patchify(torch.zeros(1, 128, 128, 16)).clone()
    theirs(
        spatial=bf16_tensor(patches, device=mesh, mesh_axis=0, shard_dim=2),
        prompt_embed=bf16_tensor(torch.zeros(1, 1, 333, 4096), device=mesh),
        pooled_projections=bf16_tensor(torch.zeros(1, 1, 1, 2048), device=mesh),
        timestep=bf16_tensor(torch.full((1, 1, 1, 1), 371.0), device=mesh),
        N=patches.shape[2], L=333,
    )  # fmt: skip


PROGRAMS = {"mochi": mochi, "decoder": decoder, "wan480": wan, "wan720": wan, "sd35": sd35}

if __name__ == "__main__":
    main(*sys.argv[1:])
