"""A camera over a still picture: sliders move the box where a Ken Burns starts and the one where it ends."""

from base64 import b64encode

import ipywidgets as widgets
from matplotlib.figure import Figure

from helpers import video
from helpers.frames.motion import around, ken_burns
from helpers.show.alt import words
from helpers.show.frames import camera
from helpers.show.live import png

Box = tuple[float, float, float, float]


class Camera:
    """Displays the picture with both boxes and the sliders. Where widgets do not run, the picture stands alone.

    `.start` and `.end` are the boxes, in shares of the picture, as helpers.frames.motion.ken_burns takes them.
    start, end: where they stand first, as (x, y, zoom): the centre in per cent of width and height, and how near.
    picture: (H, W, 3) in 0..1. frames, fps: of the video that the button makes.
    """

    def __init__(
        self, picture, start=(50, 50, 1.2), end=(60, 40, 1.6), by: str = "", frames: int = 31, fps: float = 12
    ):
        self.picture, self.by, self.frames, self.fps = picture, by, frames, fps
        self.sliders = {"start": _sliders("start", *start), "end": _sliders("end", *end)}
        self.view, self.film = widgets.Image(value=png(self.draw()), format="png"), widgets.HTML()
        self.play = widgets.Button(description="make the video", button_style="primary", icon="play")
        self.play.on_click(lambda _: self.make())
        for slider in (*self.sliders["start"], *self.sliders["end"]):
            slider.observe(lambda _: setattr(self.view, "value", png(self.draw())), "value")
        columns = [widgets.VBox(column) for column in self.sliders.values()]
        self.box = widgets.VBox([widgets.HBox([*columns, self.play]), self.view, self.film])

    @property
    def start(self) -> Box:
        return self._box("start")

    @property
    def end(self) -> Box:
        return self._box("end")

    def _box(self, name: str) -> Box:
        x, y, zoom = (slider.value for slider in self.sliders[name])
        return around((x / 100, y / 100), zoom)

    def draw(self) -> Figure:
        """The picture of what is chosen now."""
        return camera(self.picture, self.start, self.end, self.by)

    def make(self) -> None:
        """What the button does: the video, under the picture."""
        moved = ken_burns(self.picture, self.start, self.end, self.frames)
        self.film.value = video.html(moved, self.fps)

    def _repr_mimebundle_(self, **options):
        still = {"image/png": b64encode(self.view.value).decode()}
        return self.box._repr_mimebundle_(**options) | still, {"image/png": {"alt": words(self.draw())}}


def _sliders(name: str, x: float, y: float, zoom: float) -> list[widgets.Widget]:
    """Three sliders for one box; they move the picture when they are let go of."""
    return [
        widgets.FloatSlider(x, min=0, max=100, step=1, description=f"{name} x (%)", continuous_update=False),
        widgets.FloatSlider(y, min=0, max=100, step=1, description=f"{name} y (%)", continuous_update=False),
        widgets.FloatSlider(zoom, min=1, max=4, step=0.05, description=f"{name} zoom", continuous_update=False),
    ]
