"""What is said of a picture where nobody sees it."""

import matplotlib.pyplot as plt
from IPython.core.formatters import DisplayFormatter

from helpers.show import signed
from helpers.show.alt import LONGEST, words


def drawn(title="how\nfar", note=None):
    figure, (left, right) = plt.subplots(1, 2)
    figure.suptitle(title)
    left.plot([1, 3], [2, 5], label="one way")
    left.plot([1, 3], [5, 2], label="and back")
    left.set(title="there", xlabel="step", ylabel="metres")
    left.legend(title="who")
    right.set(xlabel="chips")
    right.set_title(note or "", loc="left")
    return signed(figure, "somebody")


def test_titles_axes_and_lines_are_read_in_order():
    assert words(drawn()) == "how far. there. metres over step. one way, and back. chips"


def test_nothing_is_said_twice_and_a_long_text_ends_at_a_word():
    assert words(drawn(title="there")).startswith("there. metres over step")
    whole = words(drawn(note="seventeen " * 60))
    assert len(whole) <= LONGEST and whole.endswith("seventeen ...")


def test_a_notebook_stores_the_words_beside_the_picture():
    data, about = DisplayFormatter().format(drawn())
    assert data["image/png"].startswith("iVBOR") and about["image/png"]["alt"].startswith("how far. there")
