"""Sketches for the board: each stands in its lesson, and their numbers are those of the course."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers.show.hops import film
from tools import boards
from tools.series import ROOT

LESSONS = {path.stem[:2]: path.read_text() for path in (ROOT / "lessons").glob("0[1-7]*.md")}


def texts(name):
    figure = boards.BOARDS[name]()
    plt.close(figure)
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("name", boards.BOARDS)
def test_a_sketch_stands_in_its_lesson_with_words_for_who_does_not_see_it(name):
    shown = re.findall(rf"!\[([^\]]*)\]\(\.\./pictures/board_{name}\.webp\)", LESSONS[name[:2]])
    assert len(shown) == 1 and len(shown[0].split()) >= 10


@pytest.mark.parametrize("name", boards.BOARDS)
def test_what_is_kept_is_what_is_drawn_today(name):
    with Image.open(ROOT / "pictures" / f"board_{name}.webp") as picture:
        kept, drawn = np.asarray(picture.convert("RGB"), float), np.asarray(boards.draw(name), float)
    assert kept.shape == drawn.shape and np.abs(kept - drawn).mean() < 0.1, "`python -m tools.boards`"


def test_every_sketch_that_is_kept_can_be_drawn_again():
    kept = {path.stem.removeprefix("board_") for path in (ROOT / "pictures").glob("board_*.webp")}
    assert kept == set(boards.BOARDS)
    assert {name[:2] for name in boards.BOARDS} == set(LESSONS), "one at least for each lesson"


def test_cards_are_those_that_the_emulator_hands_on():
    line, ring = (film("all_gather", 4, closed) for closed in (False, True))
    said = texts("01_line_and_ring")
    assert line.busiest[-1] == 3 and len(line.held) - 1 == 3 and "a line: three claps" in said
    assert ring.busiest[-1] == 1.5 and len(ring.held) - 1 == 2 and said.count("1½") == 4
    between = [sum(pair[:2] == (k, k + 1) for hop in line.handed for pair in hop) for k in range(3)]
    assert [text for text in said if text in "123"] == [str(n) for k in between for n in (k, 4 - k)]


def test_two_heaps_are_one():
    one, other, both = (float(text) for text in texts("03_two_heaps") if re.fullmatch(r"\d\.\d{3}", text))
    scores = np.array((3, 5, 4, 8, 6))
    assert both == pytest.approx(np.exp(scores - 8).sum(), abs=1e-3) and both == pytest.approx(
        one * np.exp(-3) + other, abs=2e-3
    )


def test_guidance_goes_on_along_the_line_and_so_far():
    figure = boards.guidance()
    plt.close(figure)
    without, prompt, beyond = (np.array(arrow._posA_posB[1]) for arrow in figure.axes[0].patches)
    assert beyond - without == pytest.approx(4.5 * (prompt - without))


def test_twice_as_long_has_the_share_of_notebook_06():
    notebook = (ROOT / "notebooks" / "06_text_to_video.ipynb").read_text()
    share = int(re.search(r"one pass [\d.]+ PFLOP, (\d+)% of it attention", notebook)[1])
    said = texts("06_twice_as_long")
    assert {f"{share / 100} × 4", f"+ {1 - share / 100:.2f} × 2"} <= set(said)


def test_a_sketch_is_written_where_it_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(boards, "BOARDS", {"04_strips": boards.strips})
    boards.main(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["board_04_strips.webp"]
    assert "board_04_strips.webp" in capsys.readouterr().out
