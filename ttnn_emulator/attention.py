"""Ring attention: the golden function of attention over a sequence that is split along a line of chips.

In which order a chip meets blocks is in ttnn 0.81.1's wheel, ttnn/cpp/ttnn/operations/transformer/sdpa/device/kernels/
ring_id_sequencer.hpp; how they travel, in experimental/ccl/ring_attention_all_gather_async/device/kernels.
"""

import math

import torch
import torch.nn.functional as F
import ttnn

from ttnn_emulator.exchange import Shards, golden_over_mesh


@golden_over_mesh(
    ttnn.transformer.ring_joint_scaled_dot_product_attention,
    ttnn.transformer.exp_ring_joint_scaled_dot_product_attention,  # the same, sent by cores of its own
)
def ring_joint_attention(
    input_tensor_q: Shards,  # per chip (B, heads, N / chips, head_dim)
    input_tensor_k: Shards,
    input_tensor_v: Shards,
    joint_tensor_q: Shards | None = None,  # per chip (B, heads, L, head_dim), the same on all chips of a line
    joint_tensor_k: Shards | None = None,
    joint_tensor_v: Shards | None = None,
    *,
    mesh,
    cluster_axis,
    logical_n: int,
    joint_strategy="rear",
    scale=None,
    is_causal=False,
    logical_l=0,
    sliding_window_size=None,
    is_cross=False,
    dim=2,  # along which K and V are gathered
    topology=None,
):
    """Attention over a sequence that is split along a line of chips, and a joint sequence that every chip holds.

    K and V travel; a chip meets the blocks in the order in which they reach it, the next chip's before the previous
    one's, and the joint keys with the last chip's block. Keys at or behind logical_n are padding. torch's attention,
    too, goes through the keys in the order given and keeps a running maximum and sum.
    """
    if is_causal or is_cross or dim != 2 or logical_l or sliding_window_size is not None or joint_strategy != "rear":
        raise NotImplementedError("only plain joint attention with joint_strategy='rear' is emulated")
    joint = [] if joint_tensor_q is None else [joint_tensor_q, joint_tensor_k, joint_tensor_v]

    def attend(line, queries, keys, values, *joint):
        rows = zip(queries, line.everywhere(keys), line.everywhere(values), *joint)
        return [attended(*row, logical_n=logical_n, scale=scale) for row in rows]

    axis = mesh.the_axis(cluster_axis)
    held = [input_tensor_q, input_tensor_k, input_tensor_v, *joint]
    outputs, joint_outputs = zip(*mesh.along(axis, mesh.goes_around(axis, topology), attend, *held))
    return list(outputs), list(joint_outputs), [ring_scratch(input_tensor_q[0], joint_tensor_q)] * len(outputs)


def attended(query, keys, values, joint_query=None, joint_key=None, joint_value=None, *, logical_n, scale):
    """One chip's attention. keys, values: whose block -> the block, in the order of arrival."""
    own, blocks = query.shape[-2], []
    for source, key in keys.items():
        real = max(0, min(key.shape[-2], logical_n - source * key.shape[-2]))
        cut = real < key.shape[-2]
        blocks.append((key[..., :real, :], values[source][..., :real, :]) if cut else (key, values[source]))
        if joint_key is not None and source == len(keys) - 1:
            blocks.append((joint_key, joint_value))
    query = query if joint_query is None else torch.cat([query, joint_query], -2)
    key, value = (torch.cat(parts, -2) for parts in zip(*blocks))
    one_batch = (part.flatten(0, -4) for part in (query, key, value))
    return (
        F.scaled_dot_product_attention(*one_batch, scale=scale).unflatten(0, query.shape[:-3]).tensor_split([own], -2)
    )


def ring_scratch(query, joint) -> torch.Tensor:
    """The op's third output is its private scratch, two columns of whole tiles: nobody may read it, so NaN."""
    rows = sum(math.ceil(part.shape[2] / 32) * 32 for part in (query, *(joint or [])[:1]))
    return query.new_full((*query.shape[:2], 2 * rows, 1), math.nan)
