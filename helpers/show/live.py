"""A picture that follows its controls. Where widgets do not run, a still picture stands in."""

import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable
from html import escape

import ipywidgets
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure

from helpers.show.alt import words


class Live:
    """Controls in a row, and under them the picture that `draw` makes; a control that changes draws it again.

    draw: reads the controls, returns a figure. still: the figure that says the same without a kernel; default: the
    first picture. photo: whether `still` is made of photos, which take much less room as JPEG than as PNG.
    """

    def __init__(
        self,
        controls: Iterable[ipywidgets.Widget],
        draw: Callable[[], Figure],
        still: Figure | None = None,
        photo: bool = False,
    ):
        first = draw()
        self.controls, self.still, self.photo = list(controls), still or first, photo
        self.picture, self.said = ipywidgets.Image(value=png(first), format="png"), ipywidgets.HTML()
        for control in self.controls:
            if not isinstance(control, ipywidgets.Play):  # it moves another control
                control.observe(lambda change: self.follow(draw), "value")

    def follow(self, draw: Callable[[], Figure]) -> None:
        """Draws again. Where that fails it is said in place of a picture that would be another setting's."""
        try:
            self.picture.value, self.said.value = png(draw()), ""
        except Exception as error:
            last = traceback.format_exception_only(error)[-1].strip()
            self.said.value = f"<pre>{escape(last)}\nThe picture below is of the setting before.</pre>"

    def _repr_mimebundle_(self, **options):
        row = ipywidgets.HBox(self.controls, layout={"flex_flow": "row wrap"})
        live = ipywidgets.VBox([row, self.said, self.picture])._repr_mimebundle_(**options)
        kind = "image/jpeg" if self.photo else "image/png"
        return live | {kind: b64encode(self.without_kernel()).decode()}, {kind: {"alt": words(self.still)}}

    def without_kernel(self) -> bytes:
        """The still picture. A notebook has a megabyte for all its pictures."""
        if self.photo:
            return print_figure(self.still, "jpeg", dpi=100, pil_kwargs={"quality": 85})
        return png(self.still)


class Slider(Live):
    """A slider over pictures of one kind, with a button that plays them. It begins at the first.

    draw: makes the figure of one of the options, when it is chosen.
    """

    def __init__(self, name: str, options: list[str], draw: Callable[[str], Figure], still: Figure, photo: bool = True):
        self.slider = ipywidgets.SelectionSlider(options=options, description=name, layout={"width": "460px"})
        super().__init__(played(self.slider), lambda: draw(self.slider.value), still, photo)


def played(slider: ipywidgets.SelectionSlider) -> list[ipywidgets.Widget]:
    """A slider with a button before it that plays its options, one a second."""
    button = ipywidgets.Play(max=len(slider.options) - 1, interval=1000, show_repeat=False, description="play")
    ipywidgets.jslink((button, "value"), (slider, "index"))

    def begin_again(change) -> None:
        button.value, button.max = 0, len(slider.options) - 1

    slider.observe(begin_again, "options")
    return [button, slider]


def png(figure: Figure) -> bytes:
    return print_figure(figure, "png", bbox_inches=None, dpi=130)  # one size whatever the title
