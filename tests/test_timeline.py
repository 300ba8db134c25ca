"""What ran where: kept, counted and drawn."""

import time

import pytest

from helpers.mesh import close_mesh, open_mesh
from helpers.show import clip as draw
from helpers.show.timeline import Timeline
from ttnn_emulator.traffic import Sent, Traffic


@pytest.fixture(scope="module")
def mesh():
    mesh = open_mesh("galaxy")
    yield mesh
    close_mesh(mesh)


def sent(axis, size):
    """A call that put `size` bytes on its busiest link, and fewer on another."""
    here, there, further = (0, 0), (0, 1), (0, 2)
    return Sent("all_reduce", axis, False, (1,), ({(here, there): size, (there, further): size // 2},))


@pytest.fixture
def line(mesh, monkeypatch):
    monkeypatch.setattr(mesh, "traffic", Traffic("a mesh"))
    line = Timeline(mesh)
    mesh.traffic.sent.append(sent("tp", 999))  # before any stage
    for name, where, sizes in (
        ("encode", "mesh", {"tp": 3_000_000}),
        ("noise", "host", {}),
        ("denoise", "mesh", {"tp": 4_000_000, "sp": 1_000_000}),
        ("denoise", "mesh", {"tp": 4_000_000, "sp": 1_000_000}),
    ):
        with line.stage(name, where):
            time.sleep(0.05 if name == "denoise" else 0.01)
            for axis, size in sizes.items():
                mesh.traffic.sent += [sent(axis, size - 1), sent(axis, 1)]
    return line


def test_each_stage_has_its_own_bytes_and_times(line):
    assert line.names == ["encode", "noise", "denoise"] and len(line.runs("denoise")) == 2
    assert line.sent() == 13_000_000 and line.sent("denoise") == 10_000_000
    assert line.sent("encode", "denoise", axis="tp") == 11_000_000 and line.sent("noise") == 0
    assert all(0.05 <= run.seconds < 2 for run in line.runs("denoise"))
    assert str(line).splitlines()[-1].split() == ["denoise", "mesh", "2", "8,000,000", "2,000,000"]


def test_an_interrupted_stage_is_not_kept(line):
    with pytest.raises(KeyboardInterrupt), line.stage("decode", "mesh"):
        raise KeyboardInterrupt
    assert "decode" not in line.names


def test_a_stage_runs_on_the_mesh_or_the_host(line):
    with pytest.raises(ValueError, match="mesh or host, not on 'cpu'"), line.stage("decode", "cpu"):
        pass


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_the_timeline_has_a_block_for_each_run_on_its_lane(line):
    figure = draw.timeline(line)
    blocks = [patch for patch in figure.axes[0].patches if patch.get_width()]
    assert [round(block.get_y() + 0.3) for block in blocks] == [0, 1, 0, 0]  # lanes: mesh, host
    ends = [block.get_x() + block.get_width() for block in blocks]
    assert [block.get_x() for block in blocks[1:]] == pytest.approx(ends[:-1])
    said = texts(figure)
    assert "in this order; lengths are this CPU's" in said and "emulated galaxy 4x8" in said
    assert not any(text.endswith(" s") for text in said), "no emulated time beside a chip's name"
    assert "denoise, 2 times" in said


def test_the_traffic_has_a_bar_for_each_axis_of_what_ran_on_the_mesh(line):
    figure = draw.traffic(line)
    said = texts(figure)
    assert {" 3.0 MB", " 8.0 MB", " 2.0 MB", "along tp", "along sp", "encode", "denoise"} <= set(said)
    assert "noise" not in said
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == [3.0, 8.0, 0.0, 2.0], "no link carries what both axes carry together"


def test_one_chip_sends_nothing_and_is_drawn(mesh):
    quiet = Timeline(mesh)
    with quiet.stage("decode", "mesh"):
        pass
    assert " 0.0 MB" in texts(draw.traffic(quiet))
