"""The same mathematics as diffusers' classes, arranged for training in batches.

diffusers normalises eight frames at a time, pads with a slow operator and attends sample by sample: kind to
memory when one large video is made, slow with many small ones. `quicken_*` swap these steps inside a model
that is trained; what is saved is untouched, and a test compares the outcomes.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import MochiAttention
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d
from diffusers.models.autoencoders.autoencoder_kl_mochi import AutoencoderKLMochi, MochiChunkedGroupNorm3D
from diffusers.models.transformers.transformer_mochi import MochiTransformer3DModel


def quicken_autoencoder(autoencoder: AutoencoderKLMochi) -> AutoencoderKLMochi:
    for module in autoencoder.modules():
        if isinstance(module, MochiChunkedGroupNorm3D):
            module.forward = MethodType(_group_norm, module)
        elif isinstance(module, CogVideoXCausalConv3d):
            module.forward = MethodType(_causal_convolution, module)
    return autoencoder.to(memory_format=torch.channels_last_3d)


def quicken_transformer(transformer: MochiTransformer3DModel) -> MochiTransformer3DModel:
    for module in transformer.modules():
        if isinstance(module, MochiAttention):
            module.processor = BatchedAttention()
    return transformer


def _group_norm(self, x: torch.Tensor) -> torch.Tensor:
    """(B, C, T, H, W): each frame on its own, statistics in float32, the rest in the dtype that comes in."""
    norm = self.norm_layer
    groups = x.unflatten(1, (norm.num_groups, -1))  # (B, 32, C / 32, T, H, W)
    mean = groups.mean((2, 4, 5), keepdim=True, dtype=torch.float32)
    length = torch.linalg.vector_norm(groups, dim=(2, 4, 5), keepdim=True, dtype=torch.float32)
    square = length.square() / (groups.shape[2] * groups.shape[4] * groups.shape[5])
    spread = torch.rsqrt((square - mean * mean).clamp(min=0) + norm.eps)
    shape = (1, norm.num_groups, -1, 1, 1, 1)
    scale = norm.weight.view(shape) * spread
    shift = norm.bias.view(shape) - mean * scale
    return torch.addcmul(shift.to(x.dtype), groups, scale.to(x.dtype)).flatten(1, 2)


def _causal_convolution(self, x: torch.Tensor, conv_cache=None):
    """(B, C, T, H, W): the edge repeated in height and width, the first frame repeated before time."""
    if self.width_pad:
        x = torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
    if self.height_pad:
        x = torch.cat([x[..., :1, :], x, x[..., -1:, :]], dim=-2)
    if self.time_kernel_size > 1:
        x = torch.cat([x[:, :, :1]] * (self.time_kernel_size - 1) + [x], dim=2)
    return self.conv(x), None


class BatchedAttention:
    """Joint attention over (visual, text) for a whole batch, padding masked out."""

    def __call__(self, attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb=None):
        """hidden_states: (B, N, D), encoder_hidden_states: (B, L, P), attention_mask: (B, L)."""
        heads = (attn.heads, -1)
        query, key, value = (
            project(hidden_states).unflatten(2, heads) for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        query, key = attn.norm_q(query), attn.norm_k(key)
        text_query, text_key, text_value = (
            project(encoder_hidden_states).unflatten(2, heads)
            for project in (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        )
        text_query, text_key = attn.norm_added_q(text_query), attn.norm_added_k(text_key)
        if image_rotary_emb is not None:
            query, key = _rotate(query, *image_rotary_emb), _rotate(key, *image_rotary_emb)
        joined = [
            torch.cat(pair, dim=1).transpose(1, 2).to(value.dtype)  # (B, heads, N + L, D / heads)
            for pair in ((query, text_query), (key, text_key), (value, text_value))
        ]
        count = hidden_states.shape[1]
        mask = F.pad(attention_mask.bool(), (count, 0), value=True)[:, None, None, :]
        out = F.scaled_dot_product_attention(*joined, attn_mask=mask).transpose(1, 2).flatten(2)
        visual, text = attn.to_out[0](out[:, :count]), out[:, count:]
        return visual, attn.to_add_out(text) if hasattr(attn, "to_add_out") else text


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x: (B, N, heads, D), neighbours (even, odd) turned as pairs; cos, sin: (N, heads, D / 2)."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).to(x.dtype)
