"""plan(): what it says of a small Mochi, of tt-metal's program, and of what it cannot plan."""

import dataclasses
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from helpers.planner.whole import Plan, plan, report, table
from helpers.show import plan as draw
from tests.test_report import visualized

TINY = {part: json.loads(Path(f"models/tiny-mochi/{part}/config.json").read_text())
        for part in ("text_encoder", "transformer", "vae")}  # fmt: skip
SIZE = dict(frames=13, height=64, width=96)


@pytest.fixture(scope="module")
def small() -> Plan:
    return plan(system="t3000", steps=7, config=TINY, **SIZE)


@pytest.fixture(scope="module")
def theirs() -> Plan:
    return plan(system="galaxy", program="tt-metal")


def test_a_plan_has_memory_and_time_of_each_stage(small):
    assert [(stage.name, stage.times) for stage in small.stages] == [("encode", 1), ("denoise", 14), ("decode", 1)]
    assert small.fits and all(stage.need.peak > 0 for stage in small.stages)
    assert small.low < small.seconds < small.high
    assert small.seconds == pytest.approx(sum(stage.times * stage.once.seconds() for stage in small.stages))
    calls = small.stages[1].need.calls
    assert sum(n for call, n in calls.items() if "ring_joint" in call.op) == TINY["transformer"]["num_layers"]


def test_it_reads_as_a_table_in_which_every_second_is_predicted(small):
    text = str(small)
    assert text.startswith("Mochi-1, our program, on t3000 2x4: 13 frames of 96 x 64, 7 steps with guidance")
    assert max(map(len, text.splitlines())) <= 95
    assert "predicted s" in text and "All together, predicted:" in text and "17 to 57 MB" in text


def test_without_guidance_half_the_passes(theirs):
    """Of tt-metal's program, whose calls are recorded: a dry run would tell nothing new."""
    alone = plan(system="galaxy", program="tt-metal", guidance=False)
    assert (theirs.stages[1].times, alone.stages[1].times) == (100, 50)
    assert theirs.seconds - alone.seconds == pytest.approx(50 * theirs.stages[1].once.seconds())
    assert "50 steps without guidance" in str(alone)


def test_a_plan_takes_as_long_as_its_stages(small):
    half = Plan(small.program, small.system, small.request, small.stages[:1] + small.stages[2:])
    assert half.seconds == pytest.approx(small.seconds - small.stages[1].seconds())


def test_what_does_not_fit_has_no_seconds(small):
    encode, denoise, decode = small.stages
    full = dataclasses.replace(decode, once=None, need=dataclasses.replace(decode.need, error="Out of Memory"))
    found = dataclasses.replace(small, stages=(encode, denoise, full))
    assert found.fits is False and found.seconds is None and found.low is None
    assert "does not fit" in str(found) and "It does not fit." in str(found)


def test_tt_metals_program_comes_from_its_calls(theirs):
    assert theirs.fits is None and theirs.stages[0].once is None
    assert theirs.stages[1].bound == "host" and "Traced it would be" in str(theirs)
    assert theirs.if_traced().seconds < 0.7 * theirs.seconds
    assert len(table([theirs]).splitlines()) == 2


def test_what_cannot_be_planned_is_said_in_a_sentence():
    for settings, words in (
        (dict(model="mochi-2", system="galaxy"), "There is no model 'mochi-2' to plan. The nearest is 'mochi-1'."),
        (dict(system="galxy"), "There is no system called 'galxy' here"),
        (dict(system="galaxy", program="ttmetal"), "The nearest is 'tt-metal'"),
        (dict(system="galaxy", frames=160), "157 or 163"),
        (dict(system="p150x8", program="tt-metal"), "only on galaxy, quietbox2, t3000"),
        (dict(system="galaxy", program="tt-metal", frames=85), 'For 85 of 848 x 480 take program="ours"'),
        (dict(system="galaxy", program="tt-metal", config={}), 'For another take program="ours"'),
    ):
        with pytest.raises(ValueError) as refused:
            plan(**settings)
        assert words in str(refused.value)


def test_a_report_is_not_mixed_with_what_is_there(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="there is something in"):
        report(str(tmp_path), system="n300", config=TINY, **SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.weekly("a capture takes half a minute")
def test_a_report_is_what_ttnn_visualizer_reads(tmp_path):
    folder = tmp_path / "report"
    said = report(str(folder), system="t3000", config=TINY, **SIZE)
    assert str(folder) in said
    answers = visualized(folder)
    assert any("ring_joint" in operation["name"] for operation in answers["operations"])
    assert len(answers["buffers"]) > 1000 and len(answers["cluster-descriptor"]["boards"]) == 4  # an n300 each


def test_pictures_are_signed_predicted(small, theirs):
    for figure in (small.timeline(), small.roofline(), theirs.timeline(), draw.scaling((2, 8))):
        assert any("predicted" in text.get_text() for text in figure.texts)
        assert figure.axes[0].get_xlabel() and figure.axes[0].get_title()
        plt.close(figure)
