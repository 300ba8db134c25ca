"""Writes the cluster descriptor of a system: the YAML from which ttnn's mock cluster believes in chips.

The fields are those of the descriptors that tt-umd captures from real machines
(tenstorrent/tt-umd tests/cluster_descriptor_examples). ttnn derives mesh shape, routing and cluster type from them.
"""

import itertools
from dataclasses import dataclass

import yaml

from ttnn_emulator.systems import System

TRAY_BUS = {"ubb": (0xC0, 0x80, 0x00, 0x40), "ubb_blackhole": (0x00, 0x40, 0xC0, 0x80)}
WEST, EAST, NORTH, SOUTH = range(4)
CHANNELS_PER_SIDE = {"wormhole_b0": 4, "blackhole": 3}  # of a chip's 16 and 12 Ethernet channels


@dataclass(frozen=True)
class Board:
    """What discovery asks of a board. Masks have a bit for every unit that is fused off, one entry per chip."""

    product_code: int  # bits 36 and up of a board id
    chips: int
    tensix: tuple[int, ...]  # rows of cores on Wormhole, columns on Blackhole
    eth: int = 0
    pcie: tuple[int, ...] = (0,)
    on_pcie: int = 1  # chips the host reaches itself; the others answer through their neighbour


BOARDS = {
    "n150": Board(0x18, 1, tensix=(0b1,)),
    # A real n300 loses two rows and dispatches from its Ethernet cores; here it loses one and dispatches from another
    # (devices.py). Either way ttnn is left with 8x8.
    "n300": Board(0x14, 2, tensix=(0b1, 0b1)),
    "ubb": Board(0x35, 32, tensix=(0,) * 32, pcie=(0,) * 32, on_pcie=32),
    "ubb_blackhole": Board(0x47, 32, tensix=(0b1,) * 32, eth=0b100100000, pcie=(0b1,) * 32, on_pcie=32),
    "p150": Board(0x40, 1, tensix=(0b11000000,), eth=0b100100000, pcie=(0b10,)),
    "p300": Board(0x45, 2, tensix=(0b101, 0b100000100), eth=0b100100000, pcie=(0b10, 0b01), on_pcie=2),
}


def neighbours(system: System):
    """Yields (chip, side, chip, side) for every neighbouring pair; chips are numbered row by row."""
    rows, cols = system.mesh
    for r, c in itertools.product(range(rows), range(cols)):
        here = r * cols + c
        if c + 1 < cols:
            yield here, EAST, here + 1, WEST
        elif system.torus:
            yield here, EAST, r * cols, WEST
        if r + 1 < rows:
            yield here, SOUTH, here + cols, NORTH
        elif system.torus:
            yield here, SOUTH, c, NORTH


def galaxy_slot(row: int, col: int) -> tuple[int, int]:
    """(tray 0-3, place in the tray 1-8). Trays are 2x4 and mirrored, so that their outer edges meet in the middle."""
    tray = 2 * (row // 2) + col // 4
    in_row, in_col = (row, 3 - row)[row // 2], (col, 7 - col)[col // 4]
    return tray, 4 * in_row + in_col + 1


def on_pcie(system: System) -> list[int]:
    """Chips that the host reaches itself: of an n300's two chips the one nearer the middle of the mesh."""
    cols, board = system.mesh[1], BOARDS[system.board]
    from_middle = lambda chip: abs(chip % cols - (cols - 1) / 2)
    boards = itertools.batched(range(system.num_chips), board.chips)
    return [chip for chips in boards for chip in sorted(chips, key=from_middle)[: board.on_pcie]]


def descriptor(system: System) -> dict:
    """The cluster descriptor of a system, ready for YAML."""
    cols, chips, board, local = system.mesh[1], range(system.num_chips), BOARDS[system.board], on_pcie(system)
    found = dict(
        arch=dict.fromkeys(chips, system.chip.arch),
        chips={i: [i % cols, i // cols, 0, 0] for i in chips} if len(local) < len(chips) else {},
        chip_unique_ids={i: 1000 + i for i in chips},
        ethernet_connections=[
            [
                {"chip": a, "chan": first_channel(system, a_side) + k},
                {"chip": b, "chan": first_channel(system, b_side) + k},
            ]
            for a, a_side, b, b_side in neighbours(system)
            for k in range(system.links)
        ],
        ethernet_connections_to_remote_devices=[],
        chips_with_mmio=[{i: i} for i in local],
        io_device_type="PCIe",
        harvesting={i: harvesting(board, i % board.chips) for i in chips},
        chip_to_boardtype=dict.fromkeys(chips, system.board),
        boards=[
            [
                {"board_id": board.product_code << 36 | on_board[0]},
                {"board_type": system.board},
                {"chips": list(on_board)},
            ]
            for on_board in itertools.batched(chips, board.chips)
        ],
        chip_to_bus_id={i: f"0x{1 + i:04x}" for i in local},
        # Cards of one chip lie on trays of their own, of which a mock knows one; so here they lie side by side.
        asic_locations={i: i % board.chips if board.chips > 1 else i for i in chips},
    )
    if system.board in TRAY_BUS:  # without trays and places, discovery merges chips
        slots = [galaxy_slot(*divmod(i, cols)) for i in chips]
        found["chip_to_bus_id"] = {
            i: f"0x{TRAY_BUS[system.board][tray] + loc:04x}" for i, (tray, loc) in enumerate(slots)
        }
        found["asic_locations"] = {i: loc for i, (_, loc) in enumerate(slots)}
    return found


def harvesting(board: Board, place: int) -> dict:
    return dict(
        noc_translation=True,
        harvest_mask=board.tensix[place],
        dram_harvesting_mask=0,
        eth_harvesting_mask=board.eth,
        pcie_harvesting_mask=board.pcie[place % len(board.pcie)],
        l2cpu_harvesting_mask=0,
    )


def first_channel(system: System, side: int) -> int:
    """Of a chip's Ethernet channels the first that leads to a side. In a square of four, opposite sides are one."""
    per_side = CHANNELS_PER_SIDE[system.chip.arch]
    return side * per_side if system.links <= per_side else side // 2 * system.links


def to_yaml(system: System) -> str:
    return yaml.dump(descriptor(system), Dumper=yaml.CSafeDumper, sort_keys=False)
