"""A sentence becomes a video: `python -m helpers.mochi "a red ball bouncing left"`, or `make video PROMPT="..."`.

Refused, in one sentence: an empty prompt, an unknown system, a seed or steps that are no use, missing weights. Words
that the miniature does not know are named with the nearest that it knows, and the video is made all the same.
"""

import argparse
import sys
import time
from pathlib import Path

from tqdm.auto import tqdm

from helpers import video
from helpers.mesh import close_mesh, label, open_mesh
from helpers.mochi.pipeline import Mochi, Request
from helpers.world import prompts
from ttnn_emulator.systems import SYSTEMS, find_system

ROOT = Path(__file__).resolve().parent.parent.parent
MINIATURE = ROOT / "models" / "tiny-mochi"
FPS = 12  # of the clips that the miniature has seen


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """One sentence instead of argparse's page."""
        self.exit(2, f"video: {message}\n")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m helpers.mochi", description="Make a video from a sentence.", allow_abbrev=False)
    parser.add_argument("prompt", help="what to paint, for example 'a red ball bouncing left'")
    parser.add_argument("--system", default="galaxy", help=f"one of {', '.join(SYSTEMS)}; %(default)s unless given")
    parser.add_argument("--steps", type=int, default=20, help="of the denoiser; %(default)s unless given")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another video of the same sentence")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "video.mp4", help="the file; runs/video.mp4")
    parser.add_argument("--weights", default=MINIATURE, help="a Mochi folder in diffusers' format; the miniature")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".mp4":
        parser.error(f"--out is the name of an MP4 file, so it ends in .mp4, and {options.out} does not.")
    if options.seed < 0:
        parser.error(f"a seed is 0 or more, not {options.seed}.")
    return options


def make(options: argparse.Namespace) -> str:
    """Makes the video and writes the file. -> what to say of it.

    Raises ValueError, FileNotFoundError and RuntimeError, each with one sentence, for what cannot be made.
    """
    start = time.perf_counter()
    reading = prompts.check(options.prompt)
    settings = {"steps": options.steps, "seed": options.seed, "traced": True}
    Request(options.prompt, **settings), find_system(options.system)  # refused before anything is loaded
    if Path(options.weights) == MINIATURE and reading.advice():
        print(reading.advice())
    mesh = open_mesh(options.system)
    by = label(mesh)
    last = options.steps - 1
    after = lambda step, _: tqdm.write(f"decode on {by}") if step == last else None
    frames = Mochi(mesh, options.weights)(options.prompt, callback=after, **settings)
    close_mesh(mesh)
    video.write(options.out, frames, FPS, made_by=by)
    count, height, width, _ = frames.shape
    took = f"{count} frames of {height} x {width}, made by {by} in {time.perf_counter() - start:.0f} s"
    return f"{shown(options.out)}, {took}"


def shown(path: Path) -> Path:
    """A path as one would type it here."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def main(arguments: list[str] | None = None) -> int:
    try:
        print(make(parse(arguments)))
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        print(f"video: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nvideo: stopped, and no file was written.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
