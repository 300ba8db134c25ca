"""A picture in words, for those who do not see it: the alternative text that is stored beside it."""

from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure

LONGEST = 400  # characters: a screen reader cannot skip inside


def with_words(figure: Figure) -> Figure:
    """The same figure; where a notebook shows it, its words come along as the picture's `alt`."""

    def bundle(**options):
        return {"image/png": print_figure(figure, "png", base64=True)}, {"image/png": {"alt": words(figure)}}

    figure._repr_mimebundle_ = bundle
    return figure


def words(figure: Figure) -> str:
    """What is written on a figure, in the order in which it is looked at: titles, axes, and what the lines are."""
    said = [figure.get_suptitle()]
    for panel in figure.axes:
        across, up = panel.get_xlabel(), panel.get_ylabel()
        said += [panel.get_title(place) for place in ("left", "center", "right")]
        said += [f"{up} over {across}" if across and up else across or up]
        said += [", ".join(text.get_text() for text in legend.texts) for legend in [panel.get_legend()] if legend]
    said += [", ".join(text.get_text() for text in legend.texts) for legend in figure.legends]
    whole = ". ".join(dict.fromkeys(" ".join(text.split()) for text in said if text.strip()))
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 3].rsplit(" ", 1)[0] + " ..."
