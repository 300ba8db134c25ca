import pytest

from helpers.world.builder import build, grammar, prompt_builder
from helpers.world.prompts import read
from helpers.world.scenes import SCENES


def test_every_choice_of_the_menus_is_understood():
    for scene, (_, _, motions) in SCENES.items():
        for motion in motions:
            found = read(build(scene, motion, "orange", "purple", "small"))
            assert (found.scene, found.motion, found.subject, found.second) == (scene, motion, "orange", "purple")


@pytest.mark.parametrize(
    "choice, message",
    [
        (("dragon", "landing", "red", "blue"), "butterfly"),
        (("ball", "landing", "red", "blue"), "rolling left"),
        (("ball", "rolling left", "brown", "blue"), "turquoise"),
        (("ball", "rolling left", "red", "red"), "different colours"),
        (("ball", "rolling left", "red", "blue", "huge"), "small, big"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(choice, message):
    with pytest.raises(ValueError, match=message):
        build(*choice)


def test_the_widget_follows_its_menus():
    box = prompt_builder()
    scene, motion, subject, second = box.children[:4]
    assert box.prompt == "a big blue butterfly landing on a yellow flower"
    scene.value = "car"
    assert motion.options == SCENES["car"][2] and box.prompt.startswith("a big blue car driving to the left")
    motion.value, subject.value = "driving right", "red"
    assert box.prompt == "a big red car driving to the right past a yellow house"
    second.value = "red"
    assert box.prompt is None and "different colours" in box.children[-1].value
    second.value = "pink"
    assert box.prompt.endswith("past a pink house")


def test_grammar_names_every_scene():
    assert list(grammar()) == list(SCENES) and all(grammar().values())
