"""The complete checkpoints in the folder of a training: of mlcd-train, of open_clip, of transformers' Trainer."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.encoders.checks import open_clip_architectures, read_config
from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.support.disk_memo import file_identity
from mlcd_eval.support.documents import parse_json

OTHER_MODEL = ("force_image_size", "force_custom_text", "image_mean", "image_std", "image_interpolation")
"""Options of open_clip's training that change the model or its preprocessing and that no spec can say."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint. step: of the training (open_clip: the epoch). spec: as --model takes it. identity: changes
    when one of its files is written again."""

    path: Path
    step: int
    spec: str
    identity: str

    @property
    def model(self) -> str:
        """The model's name in records."""
        return self.path.name.removesuffix(".pt")


_Found = tuple[Path, int, str, tuple[Path, ...]]
"""Path, step, spec, and the files that the model is read from."""


def find_checkpoints(folder: Path) -> list[Checkpoint]:
    """Return the complete checkpoints, oldest first. Raises ConfigError for a folder that does not exist, or whose
    training cannot be rebuilt from what it wrote down."""
    if not folder.is_dir():
        raise ConfigError(f"watch: there is no folder {folder}, expected that of a training")
    checkpoints = []
    for layout in LAYOUTS:
        for path, step, spec, files in layout(folder):
            with contextlib.suppress(FileNotFoundError):  # the trainer keeps a few only, and has just deleted it
                checkpoints.append(Checkpoint(path, step, spec, " ".join(map(file_identity, files))))
    return sorted(checkpoints, key=lambda checkpoint: (checkpoint.step, str(checkpoint.path)))


def _of_mlcd_train(folder: Path) -> Iterator[_Found]:
    """Folders NAME_stepN that save_checkpoint wrote. They get their names when they are complete."""
    for pattern in ("*", "checkpoints/*", "*/checkpoints/*"):
        for path in folder.glob(pattern):
            config, weights = path / "config.json", path / "model.safetensors"
            step = re.fullmatch(r"[^.].*step_?(\d+)", path.name)
            if step and weights.is_file() and "format_version" in read_config(config):
                yield path, int(step[1]), str(path), (config, weights)


def _of_open_clip(folder: Path) -> Iterator[_Found]:
    """checkpoints/epoch_N.pt, with the architecture from params.txt. PyTorch writes a file's directory at its end, so
    that half a file is no zip file."""
    paths = [path for path in folder.glob("checkpoints/epoch_*.pt") if re.fullmatch(r"epoch_\d+", path.stem)]
    if not paths:
        return
    architecture = _open_clip_architecture(folder / "params.txt")
    for path in paths:
        if zipfile.is_zipfile(path):
            yield path, int(path.stem[6:]), f"open_clip:{architecture}/{path.resolve()}", (path,)


def _open_clip_architecture(params: Path) -> str:
    if not params.is_file():
        raise ConfigError(f"watch: there is no {params}, expected it beside open_clip's checkpoints/epoch_N.pt")
    lines = params.read_text(encoding="utf-8", errors="replace").splitlines()
    values = {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
    for option in OTHER_MODEL:
        if values.get(option, "None") not in ("None", "False"):
            raise ConfigError(
                f"watch: {params} has {option}: {values[option]}, which open_clip:ARCHITECTURE/FILE cannot say "
                f"(save the model to a folder, and evaluate open_clip:local-dir:PATH)"
            )
    name = values.get("model", "")
    if values.get("force_quick_gelu") == "True" and not name.endswith("-quickgelu"):
        name += "-quickgelu"

    known = open_clip_architectures()
    if name not in known:
        raise ConfigError(
            f"watch: {params} has model: {name or 'none'}, expected an architecture{nearest(name, known)}"
        )
    return name


def _of_trainer(folder: Path) -> Iterator[_Found]:
    """checkpoint-N of transformers' Trainer, which writes trainer_state.json after the weights."""
    for path in folder.glob("checkpoint-*"):
        config, number = path / "config.json", path.name.removeprefix("checkpoint-")
        is_ours = "format_version" in read_config(config)
        if not number.isdigit() or is_ours or not read_config(path / "trainer_state.json"):
            continue
        weights = _weights(path)
        if config.is_file() and weights and all(map(_is_whole, weights)):
            yield path, int(number), f"hf:{path.resolve()}", (config, *weights)


def _weights(path: Path) -> list[Path]:
    """Return the files of weights that a folder of transformers says it has."""
    index = path / "model.safetensors.index.json"
    if index.exists():
        return [path / name for name in sorted(set(read_config(index).get("weight_map", {}).values()))]
    return [path / "model.safetensors"]


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(length)) if length < path.stat().st_size else {}
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return bool(ends) and path.stat().st_size == 8 + length + max(ends)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


LAYOUTS: tuple[Callable[[Path], Iterator[_Found]], ...] = (_of_mlcd_train, _of_open_clip, _of_trainer)
