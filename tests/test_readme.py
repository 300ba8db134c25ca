"""What README says is so: names, commands and figures are compared with what they speak of."""

import json
import re

import nbformat
import pytest
import torch
from PIL import Image, ImageColor

from helpers.mochi.ways import gigabytes_per_chip
from tools import picture
from tools.bare_root import two_commands
from tools.picture import MOST_BYTES
from tools.series import ROOT
from ttnn_emulator.systems import SYSTEMS

README = (ROOT / "README.md").read_text()


def wrong(readme: str) -> list[str]:
    """Everything in it that is not so."""
    return [*missing_files(readme), *missing_commands(readme), *wrong_rows(readme), *wrong_figures(readme)]


def missing_files(readme: str) -> list[str]:
    links = re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", readme)
    named = [
        *("".join(pair) for pair in links),
        *re.findall(r"`((?:\.\w|notebooks|lessons|models|tools)[\w./-]+\.\w+)`", readme),
    ]
    layout = re.search(r"## Layout\n+```\n(.*?)```", readme, re.DOTALL)[1]
    named += [line.split()[0] for line in layout.splitlines() if not re.match(r"(work|runs)/", line)]
    return [f"no file {name}" for name in named if not (ROOT / name).exists()]


def missing_commands(readme: str) -> list[str]:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?:^|`)make ([a-z]+)", readme, re.MULTILINE))
    return [f"no command make {name}" for name in sorted(used - targets)]


def wrong_rows(readme: str) -> list[str]:
    """The map of the series against the notebooks' own first cells, the systems against the table of systems."""
    rows = re.findall(r"^\| \d\d \| \[(.*?)\]\((notebooks/.*?)\) \| (\d+) \|", readme, re.MULTILINE)
    found = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        head = nbformat.read(path, as_version=4).cells[0].source
        title, minutes = re.search(r"^# (.*)", head)[1], re.search(r"about (\d+) minutes", head)[1]
        if (title, f"notebooks/{path.name}", minutes) not in rows:
            found.append(f"{path.name} is called {title!r} and takes {minutes} minutes")
    table = re.findall(r"^\| (`\w+`.*?) \| (\d+) \w+(?:, (\d) x (\d))?", readme, re.MULTILINE)
    systems = [(name, *what) for names, *what in table for name in re.findall(r"`(\w+)`", names)]
    real = {(s.name, str(s.num_chips), *(map(str, s.mesh) if s.num_chips > 1 else ("", ""))) for s in SYSTEMS.values()}
    return found + [f"system {name}" for name, *_ in real ^ set(systems)]


def wrong_figures(readme: str) -> list[str]:
    setup = (ROOT / "tools" / "setup.sh").read_text()
    download, disk = re.search(r"download_gb=([\d.]+)", setup)[1], re.search(r"need_gb=(\d+)", setup)[1]
    seconds = sum(budget["notebook"] for budget in json.loads((ROOT / "tests" / "budgets.json").read_text()).values())
    per_chip = {name: f"{gigabytes_per_chip(SYSTEMS[name]):.1f}" for name in ("t3000", "galaxy", "quietbox2")}
    room = {name: f"{SYSTEMS[name].dram_bytes / 1e9:.1f}" for name in per_chip}
    words = {4: "four", 5: "five", 6: "six"}
    wanted = [
        f"downloading about {download} GB",
        f"about {disk} GB of disk",
        f"in about {words[round(seconds / 60)]} minutes on two cores",
        f"take {per_chip['t3000']} of each chip's {room['t3000']} GB",
        f"take {per_chip['galaxy']} GB of each",
        f"take {per_chip['quietbox2']} of each chip's",
    ]
    text = " ".join(readme.split())
    return [f"it should say: {sentence}" for sentence in wanted if sentence not in text]


def test_readme_is_right():
    assert wrong(README) == []


@pytest.mark.parametrize(
    ("right", "otherwise", "expected"),
    [
        ("notebooks/03_denoise.ipynb", "notebooks/03_noise.ipynb", "no file notebooks/03_noise.ipynb"),
        ("pictures/butterfly.webp", "pictures/moth.webp", "no file pictures/moth.webp"),
        ("training/       how", "teaching/       how", "no file teaching/"),
        ("`make check`", "`make doctor`", "no command make doctor"),
        ("| 70 | place", "| 60 | place", "01_mesh.ipynb is called 'Thirty-two chips, one device' and takes 70 minutes"),
        ("| 2 Wormhole, 1 x 2", "| 2 Wormhole, 2 x 1", "system n300"),
        ("2.7 GB", "3 GB", "it should say: downloading about 2.7 GB"),
        ("take 5.8 of", "take 5.9 of", "it should say: take 5.8 of each chip's 12.9 GB"),
    ],
)
def test_what_is_wrong_in_a_readme_is_found(right, otherwise, expected):
    assert right in README
    assert expected in wrong(README.replace(right, otherwise))


def test_the_picture_is_small_enough_and_moves():
    path = ROOT / "pictures" / "butterfly.webp"
    shown = Image.open(path)
    assert path.stat().st_size <= MOST_BYTES and shown.n_frames > 60 and shown.size[0] >= 880
    first = shown.convert("RGB").tobytes()
    shown.seek(40)
    assert shown.convert("RGB").tobytes() != first


def test_there_are_two_commands():
    assert [command.split()[:2] for command in two_commands(README)] == [["make", "video"], ["make", "lab"]]


def test_the_two_blues_are_notebook_02s():
    notebook = (ROOT / "notebooks" / "02_text.ipynb").read_text()
    assert all(f'\\"{prompt}\\",' in notebook for prompt in picture.BLUES) and "two_blues.webp" in notebook
    with Image.open(picture.TWO_BLUES) as clips:
        assert clips.n_frames == 31 and clips.size == (2 * picture.SIDE + picture.GAP, picture.SIDE)


def test_a_picture_that_is_too_large_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "MOST_BYTES", 500)
    noise = [Image.effect_noise((64, 64), 90 + n).convert("RGB") for n in range(3)]
    with pytest.raises(ValueError, match="and at most 500 are allowed"):
        picture.write(tmp_path / "a.webp", noise)
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_the_picture_shows_each_chip_its_own_strip_and_lights_the_column_that_plays():
    held = {(r, c): torch.full((6, 3, 12, 3), (1 + r + 4 * c) / 40) for r in range(4) for c in range(8)}
    drawn = picture.drawn(torch.full((12, 12, 3), 0.5), held, now=8, text="", by="")
    at = lambda row, col, dx, dy: drawn.getpixel(
        (2 * picture.MARGIN + picture.SIDE + col * 72 + dx, picture.MARGIN + row * 72 + dy)
    )
    grey = {(r, c): at(r, c, 32, 32)[0] for r in range(4) for c in (2,)}
    assert grey == {(r, 2): round(255 * (1 + r + 8) / 40) for r in range(4)}  # frame 8 is of column 2: 1 + 6 + 1
    edges = [c for c in range(8) if at(1, c, 32, 0) == ImageColor.getrgb(picture.LIT)]
    assert edges == [2]
    assert at(0, 6, 32, 32) == at(3, 7, 32, 32) == ImageColor.getrgb(picture.CHIP_PAPER)  # these two columns wait
