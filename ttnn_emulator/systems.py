"""What exists: the Tenstorrent systems of this course as data. Adding a system is adding a row to `SYSTEMS`.

Every row is checked against what ttnn itself reports on the emulated system (tests/test_systems.py).
Sources, by the letters used below (tenstorrent/tt-metal unless said otherwise):
  [C] tech_reports/CCLs/CCL_bandwidth.md@1080d1c4: Ethernet per link and direction, latency of a hop in a 1D fabric
  [F] tech_reports/GEMM_FLOPS@06bd3735: 4 TFLOP/s per Tensix core at LoFi on Wormhole, 5.4 on Blackhole
  [M] tt_metal/fabric/mesh_graph_descriptors in the ttnn 0.81.1 wheel: mesh shapes and links per neighbour pair
  [P] models/tt_dit/pipelines/mochi/pipeline_mochi.py@0d617aff: which mesh axis carries tp and which sp
  [V] the vendor's product pages: DRAM size and bandwidth of a chip
  [B] tests/tt_metal/tt_fabric/custom_mock_cluster_descriptors/bh_6u_cluster_desc.yaml@79925a3f: a Blackhole Galaxy's
      chips, of which each lacks one column of cores, and its two links between neighbours
Two and four Galaxies (8x8, 8x16) are no rows: they are as many hosts, each with a process of its own [M], and one
process emulates one host.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Chip:
    """One chip as ttnn sees it. Bytes and bytes per second; `grid` is (columns, rows) of Tensix cores."""

    arch: str  # as in a cluster descriptor
    dram_banks: int
    dram_bank_bytes: int
    dram_bytes_per_s: float  # [V]
    flops_per_core: float  # LoFi, multiply and add counted as two [F]
    link_bytes_per_s: float  # rated, per Ethernet link and direction [C]; Blackhole runs at half of it today


@dataclass(frozen=True)
class System:
    """A machine you can buy. `mesh` is (rows, columns) of chips; `axes` names the mesh axes for parallelism."""

    name: str
    title: str
    chip: Chip
    board: str  # as in a cluster descriptor
    cluster_type: str  # what ttnn.cluster.get_cluster_type() answers
    mesh: tuple[int, int]
    grid: tuple[int, int]
    links: int  # Ethernet links between two neighbouring chips
    axes: dict[str, int]
    torus: bool = False
    usable_links: int | None = None  # where tt-metal drives fewer links than are wired

    @property
    def num_chips(self) -> int:
        return self.mesh[0] * self.mesh[1]

    @property
    def machine(self) -> str:
        """Its name, whatever mesh it is taken as"""
        return self.name.partition(":")[0]

    @property
    def splits(self) -> list[tuple[int, int]]:
        """(tp, sp) of each mesh that it can be taken as: as it is, turned, or as one line.

        ttnn lays a mesh over the wires that are there. On a Galaxy it refuses 2 x 16, with rings or without.
        """
        (rows, columns), chips = self.mesh, self.num_chips
        return sorted({(rows, columns), (columns, rows), (1, chips), (chips, 1)})

    @property
    def dram_bytes(self) -> int:
        """DRAM per chip that ttnn can allocate from, in bytes."""
        return self.chip.dram_banks * self.chip.dram_bank_bytes

    @property
    def driven_links(self) -> int:
        """Ethernet links between two neighbours that a program can use."""
        return self.usable_links or self.links

    @property
    def hop_bytes_per_s(self) -> float:
        """Bytes per second between two neighbours, one direction, all usable links together, headers included [C]."""
        return self.driven_links * self.chip.link_bytes_per_s

    def __str__(self) -> str:
        return f"{self.machine} {self.mesh[0]}x{self.mesh[1]}"


HOP_LATENCY_S = 0.7e-6  # Wormhole: 711 ns [C]

WORMHOLE = Chip("wormhole_b0", 12, 1_072_693_184, 288e9, 4e12, 12.5e9)
BLACKHOLE = Chip("blackhole", 8, 4_277_141_376, 512e9, 5.4e12, 50e9)

ROWS_TP = {"tp": 0, "sp": 1}  # tensor parallel down the rows, sequence parallel along the columns
COLS_TP = {"tp": 1, "sp": 0}

SYSTEMS = {
    s.name: s
    for s in (
        System("n150", "one Wormhole card", WORMHOLE, "n150", "N150", (1, 1), (8, 8), 0, COLS_TP),
        System("n300", "a card with two Wormhole chips", WORMHOLE, "n300", "N300", (1, 2), (8, 8), 2, COLS_TP),
        System("n300x2", "two n300 cards, cabled", WORMHOLE, "n300", "N300_2x2", (2, 2), (8, 8), 2, COLS_TP),
        System("t3000", "LoudBox or QuietBox", WORMHOLE, "n300", "T3K", (2, 4), (8, 8), 2, COLS_TP, usable_links=1),
        System("galaxy", "Galaxy, mesh cabling", WORMHOLE, "ubb", "GALAXY", (4, 8), (8, 9), 4, ROWS_TP),
        System("galaxy_torus", "Galaxy, torus", WORMHOLE, "ubb", "GALAXY", (4, 8), (8, 9), 4, ROWS_TP, torus=True),
        System("p150", "one Blackhole card", BLACKHOLE, "p150", "P150", (1, 1), (11, 10), 0, COLS_TP),
        System("p150x4", "QuietBox of Blackhole cards", BLACKHOLE, "p150", "P150_X4", (2, 2), (11, 10), 4, COLS_TP,
               usable_links=2),
        System("p150x8", "LoudBox of Blackhole cards", BLACKHOLE, "p150", "P150_X8", (2, 4), (11, 10), 2, COLS_TP),
        System("bh_galaxy", "Blackhole Galaxy", BLACKHOLE, "ubb_blackhole", "BLACKHOLE_GALAXY", (4, 8), (12, 10), 2,
               ROWS_TP),
        System("quietbox2", "QuietBox 2", BLACKHOLE, "p300", "P300_X2", (2, 2), (11, 10), 2, COLS_TP),
    )
}  # fmt: skip


def find_system(name: str) -> System:
    """The system of that name. `galaxy:8x4` is a Galaxy taken as another mesh: 8 chips along tp, 4 along sp.

    Raises ValueError naming the systems that exist, or the meshes that a system can be taken as.
    """
    known, _, split = name.partition(":")
    if known not in SYSTEMS:
        raise ValueError(f"There is no system called {name!r} here. Choose one of: {', '.join(SYSTEMS)}.")
    system = SYSTEMS[known]
    if not split:
        return system
    meshes = {f"{tp}x{sp}": (tp, sp) for tp, sp in system.splits}
    if split not in meshes:
        raise ValueError(
            f"{known} has {system.num_chips} chips, which make no {split!r}. Take one of: {', '.join(meshes)}."
        )
    return replace(system, name=name, mesh=meshes[split], axes=ROWS_TP)
