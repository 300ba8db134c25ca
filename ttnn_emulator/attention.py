"""Ring attention: the golden function of attention over a sequence that is split along a line of chips.

In which order a chip meets blocks is in ttnn 0.81.1's wheel, ttnn/cpp/ttnn/operations/transformer/sdpa/device/kernels/
ring_id_sequencer.hpp; how they travel, in experimental/ccl/ring_attention_all_gather_async/device/kernels.
"""

import functools
import itertools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
import ttnn

from ttnn_emulator.exchange import golden_over_mesh
from ttnn_emulator.hops import Blocks
from ttnn_emulator.shards import AT_ONCE_UP_TO, Shards

Tensors = list[torch.Tensor]


class Met(NamedTuple):
    """A block that has reached a chip."""

    keys: torch.Tensor
    values: torch.Tensor
    rows: int  # of it that are no padding


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
        joint_queries, *joint_pairs = joint or [None]
        pairs = zip(*joint_pairs) if joint else itertools.repeat(None)
        arrived = zip(line.everywhere(keys), line.everywhere(values), pairs)
        return attended(queries, joint_queries, [met(*of_chip, logical_n) for of_chip in arrived], scale)

    axis = mesh.the_axis(cluster_axis)
    held = [input_tensor_q, input_tensor_k, input_tensor_v, *joint]
    outputs, joint_outputs = mesh.along(axis, mesh.goes_around(axis, topology), attend, *held)
    return outputs, joint_outputs, [ring_scratch(input_tensor_q[0], joint_tensor_q)] * len(outputs)


def met(keys: Blocks, values: Blocks, joint: tuple[torch.Tensor, torch.Tensor] | None, logical_n: int) -> list[Met]:
    """What a chip attends to, in the order of arrival."""
    blocks = []
    for source, key in keys.items():
        length = key.shape[-2]
        blocks.append(Met(key, values[source], max(0, min(length, logical_n - source * length))))
        if joint is not None and source == len(keys) - 1:
            blocks.append(Met(*joint, joint[0].shape[-2]))
    return blocks


def attended(queries: Tensors, joint_queries: Tensors | None, blocks: list[list[Met]], scale) -> list[Tensors]:
    """For each chip the attention of its queries, and of its joint ones. Small chips' are computed by one call."""
    own, chips = queries[0].shape[-2], range(len(queries))
    if joint_queries is not None:
        queries = [torch.cat(parts, -2) for parts in zip(queries, joint_queries)]
    small = sum(part.numel() for part in (queries[0], *blocks[0][0][:2])) <= AT_ONCE_UP_TO
    alike = len({sum(block.rows for block in of_chip) for of_chip in blocks}) == 1
    results = []
    for some in [chips] if small and alike else [[chip] for chip in chips]:
        keys = chosen([[(block.keys, block.rows) for block in blocks[chip]] for chip in some])
        values = chosen([[(block.values, block.rows) for block in blocks[chip]] for chip in some])
        query = torch.stack([queries[chip] for chip in some], -3)
        one_batch = (part.flatten(0, -4) for part in (query, keys, values))  # chips stand where torch has heads
        result = F.scaled_dot_product_attention(*one_batch, scale=scale).unflatten(0, query.shape[:-3])
        results += [of_chip.tensor_split([own], -2) for of_chip in result.unbind(-3)]
    return results


def chosen(first_rows: list[list[tuple[torch.Tensor, int]]]) -> torch.Tensor:
    """For each chip the first rows of some blocks, one behind the other: (..., chips, rows, head_dim)."""
    if len(first_rows) == 1:
        return torch.cat([block[..., :rows, :] for block, rows in first_rows[0]], -2)[..., None, :, :]
    blocks = list({id(block): block for block, _ in itertools.chain(*first_rows)}.values())
    number = {id(block): number for number, block in enumerate(blocks)}
    wanted = tuple((number[id(block)], rows) for block, rows in itertools.chain(*first_rows))
    places = places_of(wanted, tuple(block.shape[-2] for block in blocks))
    return torch.cat(blocks, -2).index_select(-2, places).unflatten(-2, (len(first_rows), -1))


@functools.lru_cache(256)
def places_of(first_rows: tuple[tuple[int, int], ...], lengths: tuple[int, ...]) -> torch.Tensor:
    """Where the first rows of some blocks lie, (number of the block, how many) each, in all blocks joined."""
    starts = list(itertools.accumulate(lengths, initial=0))
    return torch.cat([torch.arange(starts[number], starts[number] + rows) for number, rows in first_rows])


def ring_scratch(query, joint) -> torch.Tensor:
    """The op's third output is its private scratch, two columns of whole tiles: nobody may read it, so NaN."""
    parts = [query] if joint is None else [query, joint[0]]
    rows = sum(math.ceil(part.shape[2] / 32) * 32 for part in parts)
    return query.new_full((*query.shape[:2], 2 * rows, 1), math.nan)
