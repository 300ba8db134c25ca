"""The language of the miniature: captions for clips, and what a prompt asks for.

`caption(clip)` says a clip in one of many phrasings; `read(prompt)` is the way back and names words it does
not know. Adverbs ("gently") and endings ("in the breeze") say nothing about the clip.
"""

import difflib
import functools
import re
from dataclasses import dataclass, field

import numpy as np

from helpers.world.scenes import COLOURS, NATURAL, SCENES, SIZES, UNSIZED, Clip

ADVERBS = ("gently", "slowly", "softly", "calmly", "quietly")

# (scene, motion): ways to say it; "|" stands before the preposition that leads to the second thing
SAYINGS = {
    ("butterfly", "landing"): ("landing|on", "lands|on", "settling|on", "coming down|on"),
    ("butterfly", "taking off"): ("taking off|from", "takes off|from", "flying away|from", "flies away|from"),
    ("ball", "bouncing"): ("bouncing", "bounces", "hopping"),
    ("ball", "rolling"): ("rolling", "rolls"),
    ("fish", "swimming"): ("swimming", "swims", "gliding"),
    ("fish", "turning around"): ("turning around", "turns around", "swimming there and back"),
    ("sun", "rising"): ("rising", "rises", "coming up"),
    ("sun", "setting"): ("setting", "sets", "going down"),
    ("rocket", "taking off"): ("taking off|from", "takes off|from", "launching|from", "lifting off|from"),
    ("rocket", "landing"): ("landing|on", "lands|on", "touching down|on", "coming down|on"),
    ("boat", "sailing"): ("sailing", "sails", "drifting"),
    ("forest", "coming alive"): ("coming alive at dawn", "comes alive at dawn", "waking up at sunrise"),
    ("forest", "falling asleep"): (
        "falling asleep at dusk",
        "falls asleep at dusk",
        "growing dark at sunset",
    ),
    ("balloon", "floating up"): ("floating up", "floats up", "rising", "going up"),
    ("balloon", "floating down"): ("floating down", "floats down", "sinking", "coming down"),
    ("car", "driving"): ("driving", "drives", "rolling"),
    ("flower", "opening"): ("opening", "opens", "blooming"),
    ("flower", "closing"): ("closing", "closes", "folding up"),
}
DIRECTIONS = {side: (f"to the {side}", side, f"towards the {side}") for side in ("left", "right")}
LINKS = {
    "butterfly": ("on",), "ball": ("on", "across"), "fish": ("past", "near", "above"), "sun": ("over", "behind"),
    "rocket": ("over",), "boat": ("with",), "forest": ("with",), "balloon": ("with",),
    "car": ("past", "in front of"), "flower": ("in",),
}  # fmt: skip
ENDINGS = {
    "butterfly": (", wings gently moving in the breeze", ", its wings moving gently", ", wings flapping"),
    "fish": (" in the sea", " under water"),
    "boat": (" on the waves", " on the sea"),
    "balloon": (" in the sky", " in the wind"),
    "car": (" on the road", " down the road"),
    "flower": (" in the sunlight",),
}
ORNAMENTS = ("the", "a", "an", "of", "and", "its", "at", "dawn", "dusk")


def caption(clip: Clip, variant: int = 0, plain: bool = False) -> str:
    """One caption of a clip. plain: all that can be said is said, without ornaments."""
    draw = np.random.default_rng([clip.seed, 3, variant])
    chance = (lambda share: False) if plain else (lambda share: draw.random() < share)
    pick = (lambda options: options[0]) if plain else (lambda options: options[draw.integers(len(options))])
    if chance(0.05):
        return f"{_subject(clip, chance, pick)} {pick(LINKS[clip.scene])} {_second(clip, chance, pick)}"
    saying, _, link = pick(_sayings(clip)).partition("|")
    subject = _subject(clip, chance, pick)
    adverb = pick(ADVERBS) if chance(0.2) else ""
    second = "" if chance(0.1) else f"{link or pick(LINKS[clip.scene])} {_second(clip, chance, pick)}"
    middle = [adverb, saying, second]
    if clip.scene in ("boat", "forest", "balloon") and (plain or chance(0.6)):
        middle = [second, adverb, saying]
    words = " ".join(word for word in (subject, *middle) if word)
    return words + (pick(ENDINGS[clip.scene]) if clip.scene in ENDINGS and chance(0.35) else "")


def _sayings(clip: Clip) -> list[str]:
    word, _, side = clip.motion.partition(" ")
    if (clip.scene, clip.motion) in SAYINGS:
        return list(SAYINGS[clip.scene, clip.motion])
    return [f"{saying} {way}" for way in DIRECTIONS[side] for saying in SAYINGS[clip.scene, word]]


def _subject(clip: Clip, chance, pick) -> str:
    natural = NATURAL.get(clip.scene, tuple(COLOURS))
    share = 0.5 if clip.scene in NATURAL else 0.1
    colour = "" if clip.subject in natural and chance(share) else clip.subject
    size = "" if clip.scene in UNSIZED or chance(0.4) else clip.size
    return _noun(size, colour, SCENES[clip.scene][0], pick)


def _second(clip: Clip, chance, pick) -> str:
    return _noun("", "" if chance(0.12) else clip.second, SCENES[clip.scene][1], pick)


def _noun(size: str, colour: str, noun: str, pick) -> str:
    words = " ".join(word for word in (size, colour, noun) if word)
    if noun in ("hills", "flowers"):
        return pick((words, words, "the " + words))
    article = "an" if words[0] in "aeiou" else "a"
    return f"{pick((article, article, article, 'the'))} {words}"


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", text.lower())


@functools.cache
def vocabulary() -> list[str]:
    """Every word of the captions, sorted."""
    texts = [*COLOURS, *SIZES, *ADVERBS, *ORNAMENTS]
    texts += [part for scene in SCENES.values() for part in scene[:2]]
    for table in (SAYINGS, DIRECTIONS, LINKS, ENDINGS):
        texts += [text for texts in table.values() for text in texts]
    return sorted({word for text in texts for word in _words(text)})


@dataclass
class Reading:
    """What a prompt asks for; None where it leaves the choice to the seed."""

    scene: str | None = None
    motion: str | None = None
    subject: str | None = None
    second: str | None = None
    size: str | None = None
    unknown: dict[str, list[str]] = field(default_factory=dict)  # word: known words nearest to it

    def advice(self) -> str:
        """What to tell the person who wrote it; empty when all is well."""
        lines = []
        for word, near in self.unknown.items():
            hint = f"; nearest that it knows: {', '.join(near)}" if near else ""
            lines.append(f"the miniature does not know '{word}'{hint}")
        if self.scene is None:
            lines.append(f"no scene that it knows; it paints: {', '.join(SCENES)}")
        return "\n".join(lines)


def read(prompt: str) -> Reading:
    """A prompt -> what it asks for, and the words that the miniature has never seen."""
    words, known = _words(prompt), vocabulary()
    found = Reading(unknown={word: nearest(word) for word in words if word not in known})
    found.scene = next((scene for scene in SCENES if SCENES[scene][0] in words), None)
    if found.scene is None:
        return found
    subject, second, _ = SCENES[found.scene]
    colour = size = None
    for word in words:
        colour, size = (word if word in COLOURS else colour), (word if word in SIZES else size)
        if word == subject:
            found.subject, found.size, colour, size = colour or found.subject, size or found.size, None, None
        elif word == second:
            found.second, colour = colour or found.second, None
    found.motion = _motion(found.scene, " ".join(words))
    return found


def _motion(scene: str, text: str) -> str | None:
    """The motion whose saying stands in the text; the longest saying wins."""
    best, longest = None, 0
    for motion in SCENES[scene][2]:
        word, _, side = motion.partition(" ")
        sided = side in DIRECTIONS
        for saying in SAYINGS[scene, word if sided else motion]:
            saying = saying.partition("|")[0]
            said = re.search(rf"\b{saying}\b", text) and (not sided or re.search(rf"\b{side}\b", text))
            if said and len(saying) > longest:
                best, longest = motion, len(saying)
    return best


def nearest(word: str) -> list[str]:
    """The three known words that look most like this one; small words are no help and are left out."""
    return difflib.get_close_matches(word, [w for w in vocabulary() if len(w) > 2], n=3, cutoff=0.6)


def check(prompt: str) -> Reading:
    """What a prompt asks for. Raises TypeError for what is no string, and ValueError for one without words."""
    if not isinstance(prompt, str):
        raise TypeError(f"a prompt is a string, not {type(prompt).__name__}")
    if not prompt.strip():
        raise ValueError("the prompt is empty: say what to paint, for example 'a red ball bouncing left'")
    return read(prompt)
