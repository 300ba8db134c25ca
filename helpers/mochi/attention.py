"""Joint attention of the video's and the text's tokens: heads over tp, video tokens over sp by ring attention."""

import torch
import ttnn

from helpers.layers.parallel import (
    ColumnParallel,
    RMSNorm,
    RowParallel,
    all_cores,
    attention_program,
    degree,
    fused_by_chip,
    pad_to,
)
from helpers.tensors import TILE, axis_index, replicate, shard


class Sequence:
    """What all blocks share for one shape of latents: positions, the ring's buffers, and where padding begins.

    cos, sin: (N, heads, head_dim / 2), one angle for each pair of numbers.
    """

    def __init__(self, mesh, cos: torch.Tensor, sin: torch.Tensor):
        self.mesh, self.length = mesh, cos.shape[0]
        self.multiple = TILE * degree(mesh, "sp")
        self.cos, self.sin = (self.angles(x) for x in (cos, sin))
        self.turn = replicate(pair_turn()[None, None], mesh)
        self.sp_axis, self.chips = axis_index(mesh, "sp"), degree(mesh, "sp")
        if self.chips > 1:
            self.cores = mesh.compute_with_storage_grid_size()
            self.semaphores = [ttnn.create_global_semaphore(mesh, all_cores(self.cores), 0) for _ in range(2)]
            padded, (heads, half) = -(-self.length // self.multiple) * self.multiple, cos.shape[1:]
            whole = (1, heads // degree(mesh, "tp"), padded, 2 * half)
            self.gathered = [ttnn.empty(whole, dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=mesh) for _ in "kv"]

    def angles(self, x: torch.Tensor) -> ttnn.Tensor:
        """(N, heads, head_dim / 2) -> (1, heads / tp, N / sp, head_dim), both numbers of a pair with their angle"""
        each = pad_to(x.repeat_interleave(2, -1).permute(1, 0, 2)[None], 2, self.multiple)
        return shard(each, self.mesh, tp=1, sp=2)

    def rotate(self, x: ttnn.Tensor) -> ttnn.Tensor:
        """Rotary position embedding of pairs, (1, heads / tp, N / sp, head_dim)"""
        return ttnn.experimental.rotary_embedding_llama(x, self.cos, self.sin, self.turn)

    def attend(self, video: list[ttnn.Tensor], text: list[ttnn.Tensor] | None):
        """q, k, v of both streams -> their outputs. Keys behind `length` are padding and count nothing."""
        if self.chips > 1:
            return self.ring(video, text)
        q, k, v = (x[:, :, : self.length] for x in video)
        if text is None:
            return self.padded(ttnn.transformer.scaled_dot_product_attention(q, k, v, is_causal=False)), None
        out, text_out = ttnn.transformer.joint_scaled_dot_product_attention(
            q,
            k,
            v,
            *text,
            joint_strategy="rear",
            program_config=attention_program(self.mesh.compute_with_storage_grid_size(), self.length),
        )
        return self.padded(out), text_out

    def ring(self, video, text):
        """K and V travel along the chips of sp, or around; each keeps its own queries. One row of cores sends."""
        sending_row = self.cores.y - 1
        q, k, v = video
        out, text_out, _ = ttnn.transformer.ring_joint_scaled_dot_product_attention(
            q, k, v, *(text or ()),
            persistent_output_buffer_k=self.gathered[0],
            persistent_output_buffer_v=self.gathered[1],
            joint_strategy="rear",
            logical_n=self.length,
            program_config=attention_program(ttnn.CoreCoord(self.cores.x, sending_row), q.shape[-2]),
            dim=2,
            multi_device_global_semaphore=self.semaphores,
            num_links=self.mesh.system.driven_links,
            cluster_axis=self.sp_axis,
            mesh_device=self.mesh,
            topology=ttnn.Topology.Ring if self.mesh.system.torus else ttnn.Topology.Linear,
            ccl_core_grid_offset=ttnn.CoreCoord(0, sending_row),
        )  # fmt: skip
        return out, text_out if text else None

    def padded(self, x: ttnn.Tensor) -> ttnn.Tensor:
        missing = -self.length % self.multiple
        return ttnn.pad(x, [(0, 0), (0, 0), (0, missing), (0, 0)], 0.0) if missing else x


class JointAttention:
    """x (1, 1, N / sp, D), context (1, 1, L, C) -> the same shapes; context's output is None in the last block."""

    def __init__(self, mesh, weights, prefix: str, config, is_last: bool, fsdp: bool):
        tp = degree(mesh, "tp")
        self.heads = config["num_attention_heads"] // tp
        fused = lambda names: fused_by_chip([weights[f"{prefix}{name}.weight"] for name in names], tp)
        norm = lambda name: RMSNorm(mesh, weights[f"{prefix}{name}.weight"], 1e-5)
        self.qkv = ColumnParallel(mesh, fused(("to_q", "to_k", "to_v")), fsdp=fsdp)
        self.norms = norm("norm_q"), norm("norm_k")
        self.out = RowParallel(mesh, weights[prefix + "to_out.0.weight"], weights[prefix + "to_out.0.bias"], fsdp)
        self.text_qkv = ColumnParallel(mesh, fused(("add_q_proj", "add_k_proj", "add_v_proj")), fsdp=fsdp)
        self.text_norms = norm("norm_added_q"), norm("norm_added_k")
        self.text_out = None
        if not is_last:
            weight, bias = weights[prefix + "to_add_out.weight"], weights[prefix + "to_add_out.bias"]
            self.text_out = RowParallel(mesh, weight, bias, fsdp)

    def __call__(self, x, context, sequence: Sequence):
        q, k, v = self.split(self.qkv(x), self.norms)
        video = [sequence.rotate(q), sequence.rotate(k), v]
        text = None if context is None else self.split(self.text_qkv(context), self.text_norms)
        mixed, mixed_text = sequence.attend(video, text)
        if mixed_text is not None:
            mixed_text = self.text_out(ttnn.experimental.nlp_concat_heads(mixed_text)) if self.text_out else None
        return self.out(ttnn.experimental.nlp_concat_heads(mixed)), mixed_text

    def split(self, qkv, norms):
        """(1, 1, S, 3 D / tp) -> q, k, v (1, heads / tp, S, head_dim), q and k normed head by head"""
        q, k, v = ttnn.experimental.nlp_create_qkv_heads(qkv, num_heads=self.heads, transpose_k_heads=False)
        return [norms[0](q), norms[1](k), v]


def pair_turn() -> torch.Tensor:
    """The 32x32 matrix that takes each pair (a, b) to (-b, a)"""
    turn = torch.zeros(TILE, TILE)
    even = torch.arange(0, TILE, 2)
    turn[even + 1, even], turn[even, even + 1] = -1.0, 1.0
    return turn
