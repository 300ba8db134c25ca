"""The text encoder: T5 v1.1, in ttnn. Heads and MLP columns over tp; every chip along sp holds all tokens.

Why tokens stay whole: 256 of them are few, every one attends to every other, and the answer is wanted everywhere.
The reference is transformers' T5EncoderModel.
"""

from typing import ClassVar

import torch
import ttnn
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from helpers.layers.config import check_config, one_of
from helpers.layers.parallel import ColumnParallel, RMSNorm, RowParallel, check_heads, degree, fused_by_chip
from helpers.tensors import gather, replicate, shard

MASKED = -1e9  # what attention adds to a score that must not count
ACTIVATIONS = {
    "gelu_new": ttnn.gelu,  # T5's gated-gelu: a formula with tanh, at most 0.0005 away from this one
    "gelu": ttnn.gelu,
    "relu": ttnn.relu,
    "silu": ttnn.silu,
}


class T5Encoder:
    """`encoder(ids, mask)` -> (B, S, d_model). `weights` gives a torch tensor for each name of T5EncoderModel."""

    # feed_forward_proj says both: gated-gelu is a gate, and gelu_new.
    made_for: ClassVar = {"is_gated_act": one_of(True), "dense_act_fn": one_of(*ACTIVATIONS)}

    def __init__(self, mesh, weights, config: T5Config):
        check_config(config.to_dict(), self.made_for, "text encoder")
        check_heads(mesh, config.num_heads, config.d_kv)
        self.mesh, self.config = mesh, config
        self.embedding = replicate(weights["shared.weight"], mesh, layout=ttnn.ROW_MAJOR_LAYOUT)
        first = "encoder.block.0.layer.0.SelfAttention."
        self.bias_by_bucket = weights[first + "relative_attention_bias.weight"].float()  # (buckets, heads)
        self.layers = [T5Layer(mesh, weights, f"encoder.block.{n}.layer.", config) for n in range(config.num_layers)]
        self.norm = RMSNorm(mesh, weights["encoder.final_layer_norm.weight"], config.layer_norm_epsilon)

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """ids and mask (B, S), mask 1 for real tokens -> hidden states (B, S, d_model), on the host."""
        ids_on_mesh = replicate(ids.int(), self.mesh, dtype=ttnn.uint32, layout=ttnn.ROW_MAJOR_LAYOUT)
        x = ttnn.embedding(ids_on_mesh, self.embedding, layout=ttnn.TILE_LAYOUT)  # (B, S, D)
        x = ttnn.unsqueeze_to_4D(x)  # (1, B, S, D)
        bias = shard(self.attention_bias(mask), self.mesh, tp=1)
        for layer in self.layers:
            x = layer(x, bias)
        return gather(self.norm(x))[0]

    def attention_bias(self, mask: torch.Tensor) -> torch.Tensor:
        """(B, heads, S, S): what is added to the scores, by distance and for padding. The same in every layer."""
        length = mask.shape[1]
        distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]  # key minus query
        bucket = T5Attention._relative_position_bucket(
            distance,
            bidirectional=True,
            num_buckets=self.config.relative_attention_num_buckets,
            max_distance=self.config.relative_attention_max_distance,
        )
        by_distance = self.bias_by_bucket[bucket].permute(2, 0, 1)[None]
        return by_distance + (1 - mask[:, None, None, :].float()) * MASKED


class T5Layer:
    """x + attention(norm(x)), then x + mlp(norm(x)); both sums over tp."""

    def __init__(self, mesh, weights, prefix: str, config: T5Config):
        attention, mlp = f"{prefix}0.SelfAttention.", f"{prefix}1.DenseReluDense."
        tp = degree(mesh, "tp")
        self.heads = config.num_heads // tp
        self.norm1 = RMSNorm(mesh, weights[f"{prefix}0.layer_norm.weight"], config.layer_norm_epsilon)
        qkv = fused_by_chip([weights[f"{attention}{name}.weight"] for name in "qkv"], tp)
        self.qkv = ColumnParallel(mesh, qkv)
        self.out = RowParallel(mesh, weights[f"{attention}o.weight"])
        self.norm2 = RMSNorm(mesh, weights[f"{prefix}1.layer_norm.weight"], config.layer_norm_epsilon)
        self.activation = ACTIVATIONS[config.dense_act_fn]
        self.gate = ColumnParallel(mesh, weights[f"{mlp}wi_0.weight"])
        self.up = ColumnParallel(mesh, weights[f"{mlp}wi_1.weight"])
        self.down = RowParallel(mesh, weights[f"{mlp}wo.weight"])

    def __call__(self, x: ttnn.Tensor, bias: ttnn.Tensor) -> ttnn.Tensor:
        """x (1, B, S, D) and bias (B, heads / tp, S, S) -> (1, B, S, D)"""
        x = ttnn.add(x, self.attention(self.norm1(x), bias))
        hidden = self.norm2(x)
        hidden = ttnn.multiply(self.activation(self.gate(hidden)), self.up(hidden))
        return ttnn.add(x, self.down(hidden))

    def attention(self, x: ttnn.Tensor, bias: ttnn.Tensor) -> ttnn.Tensor:
        qkv = ttnn.permute(self.qkv(x), (1, 0, 2, 3))  # (B, 1, S, 3 D / tp)
        q, k, v = ttnn.experimental.nlp_create_qkv_heads(qkv, num_heads=self.heads, transpose_k_heads=True)
        scores = ttnn.add(ttnn.matmul(q, k), bias)  # T5 does not scale: its initialisation does
        mixed = ttnn.matmul(ttnn.softmax(scores, dim=-1), v)
        mixed = ttnn.experimental.nlp_concat_heads(mixed)  # (B, 1, S, D / tp)
        return self.out(ttnn.permute(mixed, (1, 0, 2, 3)))
