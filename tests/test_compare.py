"""The comparison of four ways over many prompts: its figures follow from the clips, and its budgets from the cards."""

import json

import pytest

from helpers.world.scenes import Clip
from training import compare
from training.animatediff.evaluate import painted
from training.mochi.evaluate import fixed_clips


def test_a_painted_clip_shows_all_and_a_shuffled_one_does_not():
    clip = Clip("boat", "sailing right", subject="red", second="blue", seed=3)
    video = painted([clip])[0]
    right = compare.measured(video, clip)
    assert [right[aspect] for aspect in compare.ASPECTS] == [1, 1, 1, 1]
    assert right["followed_consistency"] > right["subject_consistency"], "the window goes with the boat"
    backwards = compare.measured(video[::-1], clip)
    assert backwards["motion"] == 0 and backwards["scene"] == 1
    asked = compare.measured(video, Clip("boat", "sailing right", subject="green", second="blue", seed=3))
    assert asked["subject"] == 0 and asked["followed_consistency"] == 0, "there is nothing green to follow"


def test_mean_and_spread():
    rows = [{"a": 1.0, "b": 0.0}, {"a": 2.0, "b": 0.5}, {"a": 6.0, "b": 0.1}]
    found = compare.spread(rows)
    assert found["a"]["mean"] == 3.0 and found["a"]["std"] == pytest.approx(7**0.5)
    assert found["b"]["mean"] == pytest.approx(0.2)


def test_budgets_are_sums_over_all_stages(tmp_path):
    stages = {"one": {"steps": 30, "minutes": 1.4}, "two": {"steps": 12, "minutes": 2.2}}
    parts = {"a": {"parameters": 1000}, "b": {"parameters": 234}}
    (tmp_path / "training.json").write_text(json.dumps({"stages": stages, "parts": parts, "clips": 77}))
    found = compare.budget(tmp_path)
    assert found == {"model": tmp_path.name, "clips": 77, "steps": 42, "minutes": 4, "parameters": 1234}


def test_what_is_shipped_is_of_the_shipped_models():
    shipped = json.loads((compare.Path("models") / "comparison.json").read_text())
    assert list(shipped["ways"]) == [*compare.WAYS, "painted clips"]
    for way, model in compare.WAYS.items():
        assert shipped["budgets"][way] == compare.budget(compare.Path("models") / model), "`python -m training.compare`"
    assert shipped["settings"]["prompts"] >= 30
    painted = shipped["ways"]["painted clips"]
    assert all(painted[aspect]["mean"] == 1 for aspect in compare.ASPECTS), "the detectors can be trusted on these"


@pytest.mark.weekly("40 s of painting and measuring")
def test_painted_clips_are_measured_as_they_were():
    """The one row that can be had again without sampling: the same thirty clips give the same figures."""
    shipped = json.loads((compare.Path("models") / "comparison.json").read_text())
    count = shipped["settings"]["prompts"]
    clips = fixed_clips(count - count // 2, False) + fixed_clips(count // 2, True)
    again = compare.spread([compare.measured(video, clip) for video, clip in zip(painted(clips), clips, strict=True)])
    for measure, figures in shipped["ways"]["painted clips"].items():
        assert again[measure] == pytest.approx(figures, abs=1e-4), measure
