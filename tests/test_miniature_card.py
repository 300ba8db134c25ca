import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from helpers.world.detectors import Seen, detect, detect_still
from helpers.world.scenes import SCENES, UNSEEN
from training.animatediff.card import card as animatediff_card
from training.card import card, main, shortfalls
from training.mochi.evaluate import ASPECTS

MODELS = Path(__file__).parents[1] / "models"

TRAINING = {
    "stages": {"autoencoder": {"steps": 1234, "minutes": 56.7}, "transformer": {"steps": 890, "minutes": 65.4}},
    "parts": {"vae": {"class": "AutoencoderKLMochi", "parameters": 7_654_321}},
    "device": "3 CPU cores", "torch": "2.x", "clips": 4321, "seed": 7,
}  # fmt: skip
GOOD = {
    "follows": {
        name: dict(zip(ASPECTS, (0.99, 0.98, 0.97, 0.96))) for name in ("seen", "held out", "seen, guidance 1")
    },
    "coherence": {"flicker": {"sampled": 0.021, "real": 0.02, "ratio": 1.05}},
    "ten seeds": {"mean": 0.11, "smallest": 0.07, "subject colours": 5},
    "autoencoder psnr": 31.5, "moving psnr": {"butterfly": 21.25, "ball": 22.5},
    "seconds for each clip": 2.5, "peak memory GB": 1.25,
    "settings": {"steps": 20, "guidance": 4.5, "frames": 31, "prompts": [200, 100], "dtype": "float32"},
}  # fmt: skip

FOUND = {
    "blocks": [{"std": 92.34, "largest": 494.4, "sharp": 0.956}], "moved": {"an": 0.03, "house": 0.79},
    "positions": {"moved": 0.0668, "heads apart": 0.0305},
}  # fmt: skip


def test_the_card_holds_the_measured_figures_and_who_made_it():
    text = card(TRAINING | {"remark": "Made in two goes.", "by eye": "Balls are not round."}, GOOD)
    for said in ("Made in two goes.", "Balls are not round."):
        assert said in text and said not in card(TRAINING, GOOD)
    for figure in (
        "1234",
        "57",
        "4321",
        "3 CPU cores",
        "31.50 dB",
        "of what moves alone butterfly 21.25 dB, ball 22.50 dB",
        "99.0 %",
        "7.65 M",
        "float32",
        "license: apache-2.0",
    ):
        assert figure in text
    assert "{" not in text and "All figures that were aimed at are reached" in text


def test_the_card_says_how_the_text_encoder_attends_where_that_was_measured():
    text = card(TRAINING, GOOD | {"text encoder": FOUND})
    assert "| block 0 | 92.3 | 494 | 96 % |" in text and "an 0.03" in text and "house 0.79" in text
    assert "6.7 % from what was set, the heads 3.0 % from their mean" in text
    assert "text encoder attends" in text and "text encoder attends" not in card(TRAINING, GOOD)


def test_the_card_says_what_went_on_from_a_finished_folder():
    stages = TRAINING["stages"] | {"decoder, again": {"steps": 77, "minutes": 6}}
    text = card(TRAINING | {"stages": stages}, GOOD)
    assert "From the finished folder" in text and "the decoder went on" in text
    assert "soft attention" not in text and "the transformer went on" not in text, "what was not done is not said"
    assert "From the finished folder" not in card(TRAINING, GOOD)


def test_the_stored_card_says_what_is_stored():
    training, result = (
        json.loads((MODELS / "tiny-mochi" / f"{name}.json").read_text()) for name in ("training", "evaluation")
    )
    assert (MODELS / "tiny-mochi" / "README.md").read_text() == card(training, result)


def test_the_card_of_animatediff_says_whether_all_learned_together():
    folder = MODELS / "tiny-animatediff"
    training, result = (json.loads((folder / f"{name}.json").read_text()) for name in ("training", "evaluation"))
    stages = {name: {"steps": 7, "minutes": 1} for name in ("autoencoder", "reader", "unet", "motion")}
    frozen = animatediff_card(training | {"stages": stages, "by eye": "Balls vanish."}, result, "")
    stages["together"] = {"steps": 4321, "minutes": 60}
    together = animatediff_card(training | {"stages": stages}, result, "")
    assert "Balls vanish." in frozen and "learn on as one" not in frozen
    assert "learn on as one" in together and "| together | 4321 | 60 |" in together


def test_the_card_lists_what_was_held_out():
    rows = re.findall(r"^\| (\w+) and \w+ \| (.*) \|$", card(TRAINING, GOOD), re.MULTILINE)
    listed = {scene: [tuple(pair.split(" and ")) for pair in pairs.split(", ")] for scene, pairs in rows}
    named = {scene: subject for scene, (subject, _, _) in SCENES.items()}
    assert listed == {named[scene]: pairs for scene, pairs in UNSEEN.items()}


@pytest.mark.parametrize(
    "path, value, word",
    [
        (("follows", "seen", "scene"), 0.97, "scene, seen: 97.0 %"),
        (("follows", "held out", "second"), 0.79, "second, held out: 79.0 %"),
        (("autoencoder psnr",), 29.9, "autoencoder: 29.90 dB"),
        (("seconds for each clip",), 5.5, "a clip: 5.50 s"),
        (("peak memory GB",), 2.4, "memory: 2.40 GB"),
        (("coherence", "flicker", "ratio"), 1.2, "flicker: 1.20"),
        (("coherence", "flicker", "ratio"), 0.85, "flicker: 0.85"),
    ],
)
def test_what_was_not_reached_is_said(path, value, word):
    result = copy.deepcopy(GOOD)
    *parents, last = path
    inner = result
    for key in parents:
        inner = inner[key]
    inner[last] = value
    missed = shortfalls(result)
    assert len(missed) == 1 and word in missed[0] and missed[0] in card(TRAINING, result)


def test_a_folder_without_figures_is_refused(tmp_path, capsys):
    (tmp_path / "training.json").write_text(json.dumps(TRAINING))
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "evaluation.json" in capsys.readouterr().err and not (tmp_path / "README.md").exists()
    (tmp_path / "evaluation.json").write_text(json.dumps(GOOD))
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "run training.mochi.attention" in capsys.readouterr().err
    (tmp_path / "evaluation.json").write_text(json.dumps({"text encoder": FOUND}))
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "run training.mochi.evaluate again" in capsys.readouterr().err and not (tmp_path / "README.md").exists()
    (tmp_path / "evaluation.json").write_text(json.dumps(GOOD | {"text encoder": FOUND}))
    assert main([str(tmp_path)]) == 0 and "31.50 dB" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("model", ["tiny-mochi", "tiny-sd3", "tiny-animatediff"])
def test_the_cards_say_how_their_models_were_made(model):
    training = json.loads((MODELS / model / "training.json").read_text())
    assert len(training["remark"]) > 40 and training["remark"] in (MODELS / model / "README.md").read_text()


@pytest.mark.parametrize(
    ("model", "leaves"),
    [("tiny-mochi", "butterfly.gif"), ("tiny-sd3", "butterfly.png"), ("tiny-animatediff", "ball.gif")],
)
def test_what_a_card_tells_to_run_runs_and_shows_what_it_says(model, leaves, tmp_path, monkeypatch):
    (tmp_path / "models").symlink_to(MODELS)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (MODELS / model / "README.md").read_text(), re.DOTALL)
    exec(code, {})
    picture = Image.open(leaves)
    frames = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]) / 255
    if model == "tiny-mochi":
        assert frames.shape == (31, 96, 96, 3)
        assert detect(frames) == Seen("butterfly", "landing", "red", "blue")
    elif model == "tiny-sd3":
        assert detect_still(frames[0]) == Seen("butterfly", None, "red", "blue")
    else:  # too weak to be asked for more
        assert frames.shape == (16, 96, 96, 3) and np.abs(np.diff(frames, axis=0)).mean() > 0.005
