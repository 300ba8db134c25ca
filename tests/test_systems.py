"""Every system's row in ttnn_emulator/systems.py against what ttnn itself reports on the emulated system."""

import pytest
import torch
import ttnn
import yaml

from helpers.collectives import all_reduce
from helpers.mesh import label, run_on
from helpers.tensors import gather, shard
from ttnn_emulator.cluster import descriptor, neighbours, to_yaml
from ttnn_emulator.systems import SYSTEMS, find_system

# Not from ttnn_emulator/systems.py: cores (columns, rows), DRAM and L1 bytes, cluster type, links, from the facts.
FACTS = {
    "n150": ((1, 1), (8, 8), 12 * 1_072_693_184, "N150", 0),
    "n300": ((1, 2), (8, 8), 12 * 1_072_693_184, "N300", 2),
    "n300x2": ((2, 2), (8, 8), 12 * 1_072_693_184, "N300_2x2", 2),
    "t3000": ((2, 4), (8, 8), 12 * 1_072_693_184, "T3K", 2),
    "galaxy": ((4, 8), (8, 9), 12 * 1_072_693_184, "GALAXY", 4),
    "galaxy_torus": ((4, 8), (8, 9), 12 * 1_072_693_184, "GALAXY", 4),
    "p150": ((1, 1), (11, 10), 8 * 4_277_141_376, "P150", 0),
    "p150x4": ((2, 2), (11, 10), 8 * 4_277_141_376, "P150_X4", 4),
    "p150x8": ((2, 4), (11, 10), 8 * 4_277_141_376, "P150_X8", 2),
    "bh_galaxy": ((4, 8), (12, 10), 8 * 4_277_141_376, "BLACKHOLE_GALAXY", 2),
    "quietbox2": ((2, 2), (11, 10), 8 * 4_277_141_376, "P300_X2", 2),
}


def seen(mesh):
    """What ttnn says of the open system, and a product whose rows and columns are cut over it."""
    cores = mesh.compute_with_storage_grid_size()
    dram = ttnn.get_memory_view(mesh, ttnn.BufferType.DRAM)
    l1 = ttnn.get_memory_view(mesh, ttnn.BufferType.L1)
    torch.manual_seed(7)
    x, w = torch.randn(1, 1, 512, 2048), torch.randn(1, 1, 2048, 1024) / 45
    y = all_reduce(ttnn.linear(shard(x, mesh, sp=2, tp=3), shard(w, mesh, tp=2)), "tp")
    return dict(
        mesh=tuple(mesh.shape),
        grid=(cores.x, cores.y),
        dram=dram.num_banks * dram.total_bytes_per_bank,
        l1_banks=l1.num_banks,
        cluster=ttnn.cluster.get_cluster_type().name,
        label=label(mesh),
        wires=len(yaml.safe_load(open(ttnn.cluster.serialize_cluster_descriptor()))["ethernet_connections"]),
        error=(gather(y, sp=2).float() - x @ w).abs().max().item(),
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_ttnn_sees_the_system(name):
    shape, grid, dram, cluster, links = FACTS[name]
    found = run_on(name, seen)
    assert (found["mesh"], found["grid"], found["dram"], found["cluster"]) == (shape, grid, dram, cluster)
    assert found["l1_banks"] == grid[0] * grid[1]
    rows, cols = shape
    pairs = 2 * rows * cols if "torus" in name else rows * (cols - 1) + cols * (rows - 1)
    assert found["wires"] == pairs * links
    assert found["label"] == f"emulated {name} {rows}x{cols}"
    assert found["error"] < 0.06  # bfloat16, values up to 5


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_row_says_the_same(name):
    shape, grid, dram, cluster, links = FACTS[name]
    system = SYSTEMS[name]
    assert (system.mesh, system.grid, system.dram_bytes, system.cluster_type) == (shape, grid, dram, cluster)
    assert system.links == links
    assert sorted(system.axes) == ["sp", "tp"] and sorted(system.axes.values()) == [0, 1]


def test_galaxy_links_carry_what_the_facts_say():
    assert SYSTEMS["galaxy"].hop_bytes_per_s == 4 * 12.5e9
    assert SYSTEMS["t3000"].hop_bytes_per_s == 12.5e9  # two links wired, one used
    assert SYSTEMS["quietbox2"].hop_bytes_per_s == 100e9 and SYSTEMS["p150"].hop_bytes_per_s == 0


def test_unknown_system_names_the_known():
    with pytest.raises(ValueError, match="no system called 'tg'.*n150, n300, n300x2, t3000, galaxy"):
        find_system("tg")


def test_no_channel_is_wired_twice():
    for system in SYSTEMS.values():
        ends = [(end["chip"], end["chan"]) for wire in descriptor(system)["ethernet_connections"] for end in wire]
        assert len(ends) == len(set(ends))
        assert yaml.safe_load(to_yaml(system)) == yaml.safe_load(yaml.safe_dump(descriptor(system)))


def test_torus_closes_both_axes():
    pairs = {frozenset((a, b)) for a, _, b, _ in neighbours(SYSTEMS["galaxy_torus"])}
    assert frozenset((0, 7)) in pairs and frozenset((3, 27)) in pairs
    assert not {frozenset((0, 7)), frozenset((3, 27))} & {
        frozenset((a, b)) for a, _, b, _ in neighbours(SYSTEMS["galaxy"])
    }
