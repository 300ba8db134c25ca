"""A prompt, put together from menus: everything in them is in the world that the miniature knows."""

from helpers.world.prompts import SAYINGS, caption
from helpers.world.scenes import COLOURS, SCENES, SIZES, UNSIZED, Clip


def build(scene: str, motion: str, subject: str, second: str, size: str = "big") -> str:
    """The plain prompt for a choice; an impossible one is refused with what is possible."""
    if scene not in SCENES:
        raise ValueError(f"no scene '{scene}'; there are {', '.join(SCENES)}")
    for name, value, known in (
        ("motion", motion, SCENES[scene][2]),
        ("colour", subject, COLOURS),
        ("colour", second, COLOURS),
        ("size", size, SIZES),
    ):
        if value not in known:
            raise ValueError(f"no {name} '{value}' here; there are {', '.join(known)}")
    if subject == second:
        raise ValueError(f"the {SCENES[scene][0]} and the {SCENES[scene][1]} have different colours in this world")
    return caption(Clip(scene, motion, subject, second, size), plain=True)


def prompt_builder():
    """Menus for a notebook; `.prompt` on what is returned is the sentence chosen at that moment."""
    import ipywidgets as widgets

    colours = list(COLOURS)
    scene = widgets.Dropdown(options=list(SCENES), description="scene")
    motion = widgets.Dropdown(description="motion")
    subject = widgets.Dropdown(options=colours, value="blue", description="colour")
    second = widgets.Dropdown(options=colours, value="yellow", description="second")
    size = widgets.Dropdown(options=list(SIZES), value="big", description="size")
    sentence = widgets.HTML()
    box = widgets.VBox([scene, motion, subject, second, size, sentence])

    def scene_changed(_=None):
        motion.options = SCENES[scene.value][2]
        motion.value = motion.options[0]
        subject.description, second.description = SCENES[scene.value][:2]
        size.disabled = scene.value in UNSIZED

    def changed(_=None):
        if motion.value not in SCENES[scene.value][2]:
            return  # between two scenes: the menu of motions follows in a moment
        try:
            box.prompt = build(scene.value, motion.value, subject.value, second.value, size.value)
            sentence.value = f"<code>{box.prompt}</code>"
        except ValueError as problem:
            box.prompt, sentence.value = None, str(problem)

    scene_changed()
    scene.observe(scene_changed, "value")
    for menu in (scene, motion, subject, second, size):
        menu.observe(changed, "value")
    changed()
    return box


def grammar() -> dict[str, list[str]]:
    """For each scene the sayings of its motions, to print as a table."""
    return {
        scene: [saying.replace("|", " ") for (name, _), ways in SAYINGS.items() if name == scene for saying in ways]
        for scene in SCENES
    }
