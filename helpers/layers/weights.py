"""Reads a model's folder as diffusers writes it, one tensor at a time, and says in a sentence what is wrong with it.

Nothing is downloaded, and only safetensors files are opened. The names and shapes that a folder must have come from
the reference models themselves, built from the folder's config without memory for values.
"""

import inspect
import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, T5EncoderModel

from helpers.layers.config import Rule, check_config


@dataclass(frozen=True)
class Model:
    """A model that folders can hold, and what the real one takes."""

    title: str
    name: str  # on the Hugging Face hub
    parts: dict[str, type]  # each part's reference: a class of diffusers or transformers
    gigabytes: dict[str, float]  # of the real one's parts in bfloat16: parameters x 2 bytes
    beside: tuple[str, ...] = ("tokenizer", "scheduler")  # folders without weights


MOCHI = Model(
    title="Mochi",
    name="genmo/mochi-1-preview",
    parts={"text_encoder": T5EncoderModel, "transformer": MochiTransformer3DModel, "vae": AutoencoderKLMochi},
    gigabytes={"text_encoder": 9.5, "transformer": 20.1, "vae": 0.9},
)
TIED = {"encoder.embed_tokens.weight"}  # T5's second name for shared.weight; folders may have it or not


def find_folder(weights: str | Path, model: Model = MOCHI) -> Path:
    """The folder of a model: a path, or a model of the Hugging Face cache by its name. Never downloads.

    Raises FileNotFoundError naming what is missing, its size, and the command that gets it.
    """
    if Path(weights).is_dir():
        return Path(weights)
    try:
        return Path(snapshot_download(str(weights), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise FileNotFoundError(
            f"There is no folder {weights}, and no model of that name in the Hugging Face cache. "
            f"{how_to_get(model, model.parts)}"
        ) from None


def how_to_get(model: Model, parts) -> str:
    size = sum(model.gigabytes[part] for part in parts)
    files = " ".join(f'"{part}/*"' for part in (*parts, *model.beside))
    return (
        f"Nothing is downloaded without you: the real model's {' and '.join(parts)} take about {size:.0f} GB in "
        f"bfloat16. Get them with: hf download {model.name} --include model_index.json {files}"
    )


class Weights:
    """One part of a model's folder: `config`, and a torch tensor for each name, read from disk when asked for.

    The whole part is checked before the first tensor is read. Raises FileNotFoundError for missing files, and
    ValueError for another architecture, a config that the code is not made for (helpers/layers/config.py), missing or
    extra names, wrong shapes and damaged files.
    """

    def __init__(self, folder: str | Path, part: str, model: Model = MOCHI, made_for: dict[str, Rule] | None = None):
        self.folder, self.part, self.model = Path(folder) / part, part, model
        self.config = whole_config(self._read_config(), model.parts[part], self.folder)
        check_config(self.config, made_for or {}, f"{self.folder}/config.json")
        self._files = {}  # name -> file
        shapes = self._read_headers()
        self._compare(shapes, self._wanted())
        self.num_bytes = 2 * sum(math.prod(shape) for shape in shapes.values())  # on the mesh, in bfloat16

    def __getitem__(self, name: str) -> torch.Tensor:
        # Opened anew each time: an open file keeps all that was read of it in memory.
        with safe_open(self._files[name], framework="pt") as file:
            return file.get_tensor(name)

    def _read_config(self) -> dict:
        path = self.folder / "config.json"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing. {how_to_get(self.model, [self.part])}")
        try:
            config = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not valid JSON ({error}). Get the file again.") from error
        wanted = self.model.parts[self.part].__name__
        found = config.get("_class_name") or (config.get("architectures") or ["nothing"])[0]
        if found != wanted:
            raise ValueError(f"{path} describes {found}, not {wanted}: this is no folder of {self.model.title}.")
        return config

    def _read_headers(self) -> dict[str, tuple[int, ...]]:
        shapes = {}
        for path in self._paths():
            try:
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118  a safe_open cannot be iterated
                        self._files[name] = path
                        shapes[name] = tuple(file.get_slice(name).get_shape())
            except SafetensorError as error:
                raise ValueError(f"{path} is damaged or incomplete ({error}). Get the file again.") from error
        return shapes

    def _paths(self) -> list[Path]:
        """One file, or those that the index of a sharded one lists."""
        index = next(iter(sorted(self.folder.glob("*.safetensors.index.json"))), None)
        if index is None:
            found = sorted(self.folder.glob("*.safetensors"))
        else:
            found = [self.folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
        missing = [path.name for path in found if not path.exists()]
        if missing or not found:
            what = ", ".join(missing) or "a .safetensors file"
            raise FileNotFoundError(f"{self.folder} lacks {what}. {how_to_get(self.model, [self.part])}")
        return found

    def _wanted(self) -> dict[str, tuple[int, ...]]:
        try:
            return reference_shapes(self.part, self.config, self.model)
        except Exception as error:  # whatever the reference raises on numbers that do not go together
            name = self.model.parts[self.part].__name__
            raise ValueError(f"{self.folder}/config.json makes no {name}: {one_line(error)}") from error

    def _compare(self, found: dict, wanted: dict) -> None:
        optional = TIED & set(wanted)
        missing = sorted(set(wanted) - set(found) - optional)
        extra = sorted(set(found) - set(wanted))
        shapes = [name for name in wanted if name in found and found[name] != wanted[name]]
        for names, problem in ((missing, "lacks"), (extra, "has unknown"), (shapes, "has tensors of wrong shape,")):
            if names:
                first = names[0]
                sizes = f" {found[first]} instead of {wanted[first]}" if names is shapes else ""
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                raise ValueError(f"{self.folder} {problem} {first}{sizes}{more}. It does not fit its config.json.")


def whole_config(config: dict, reference: type, folder: Path) -> dict:
    """A config with the reference's defaults for what it does not say. Raises ValueError where the reference does."""
    if not issubclass(reference, PreTrainedModel):
        defaults = {name: p.default for name, p in inspect.signature(reference.__init__).parameters.items()}
        return {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty} | config
    try:
        return reference.config_class.from_dict(config).to_dict()
    except Exception as error:
        raise ValueError(f"{folder}/config.json makes no {reference.__name__}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def reference_shapes(part: str, config: dict, model: Model = MOCHI) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of the reference model with this config."""
    reference = model.parts[part]
    with torch.device("meta"):
        if issubclass(reference, PreTrainedModel):
            built = reference(reference.config_class.from_dict(config))
        else:
            built = reference.from_config(config)
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
