"""lessons/checks.md: every comparison is listed, and behind each stands a test that makes it fail."""

import ast
from pathlib import Path

import nbformat
import pytest
import torch
from diffusers import AutoencoderKLMochi

from tests.test_exercises import EXERCISES
from tools import checks

TESTS = Path(__file__).parent


def test_the_page_is_what_is_made_today():
    assert checks.PAGE.read_text() == checks.page()


@pytest.mark.parametrize("name", sorted({found for found in checks.CHECKS.values() if "::" not in found}))
def test_an_exercise_behind_a_check_has_mistakes(name):
    (exercise,) = [one for key, one in EXERCISES.items() if key.rpartition(".")[2] == name]
    assert len(exercise.mistakes) >= 3


@pytest.mark.parametrize("test", sorted({found for found in checks.CHECKS.values() if "::" in found}))
def test_the_test_behind_a_check_is_there(test):
    file, name = test.split("::")
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_check_is_listed_in_vain():
    made = checks.PAGE.read_text().count("\n| [")
    assert made == len(checks.CHECKS), "a cell is gone, or compares nothing any more"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("assert x == y", "does not say what it would catch"),
        ("assert x == y  # catches nothing tested", "does not know a test"),
    ],
)
def test_a_comparison_that_proves_nothing_is_named(source, problem):
    cell = nbformat.v4.new_code_cell(source, id="unknown")
    with pytest.raises(ValueError, match=f"01_toy.ipynb, cell 7 \\(unknown\\) compares, and .*{problem}"):
        checks.row(Path("01_toy.ipynb"), 7, cell)


def test_a_first_frame_hears_no_later_one():
    """As notebook 03 has it of diffusers' decoder; a later latent frame does hear the one before."""
    torch.manual_seed(1)
    vae = AutoencoderKLMochi(
        encoder_block_out_channels=(32, 32, 32, 32), decoder_block_out_channels=(32, 32, 32, 32),
        layers_per_block=(1, 1, 1, 1, 1), spatial_expansions=(2, 1, 1), temporal_expansions=(1, 2, 3),
        add_attention_block=(False,) * 5,
    ).eval()  # fmt: skip
    latents = torch.randn(1, 12, 3, 6, 4)
    with torch.no_grad():
        whole = vae.decode(latents, return_dict=False)[0]
        first, others = (
            vae.decode(latents[:, :, :1], return_dict=False)[0],
            vae.decode(latents[:, :, 1:], return_dict=False)[0],
        )
    assert torch.allclose(first[:, :, 0], whole[:, :, 0], atol=1e-4)
    assert not torch.allclose(others[:, :, -6:], whole[:, :, -6:], atol=1e-2)
