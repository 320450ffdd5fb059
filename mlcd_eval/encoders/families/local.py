"""What a folder of transformers says about its model before any of it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlcd_eval.encoders.bounds import check_images, check_model
from mlcd_eval.encoders.families.choice import choose
from mlcd_eval.encoders.places import folder_or_repository
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.documents import read_object

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def check_folder(spec: Spec) -> None:
    """A local folder with config.json and all files of weights; repositories are not looked at.

    Raises CheckpointError.
    """
    path = folder_or_repository(spec.target).path
    if path is None:
        return
    if not path.is_dir():
        raise CheckpointError(f"--model {spec.text!r}: no folder {path}, expected one with config.json")
    config = _config(spec, path)
    weights = next((path / name for name in _WEIGHTS if (path / name).is_file()), None)
    if weights is None:
        raise CheckpointError(f"--model {spec.text!r}: no weights in {path}, expected model.safetensors")
    if weights.suffix == ".json":
        shards = sorted(set(_json(spec, weights).get("weight_map", {}).values()))
        missing = [shard for shard in shards if not (path / shard).is_file()]
        if missing:
            raise CheckpointError(
                f"--model {spec.text!r}: {len(missing)} of {len(shards)} files of weights are missing in {path}, "
                f"first {missing[0]}"
            )
        files = [path / shard for shard in shards]
    else:
        files = [weights]
    check_model(str(path / "config.json"), config, files)
    for name in PROCESSOR_FILES:
        if (path / name).is_file():
            check_images(str(path / name), _json(spec, path / name))


def check_encoder(spec: Spec) -> None:
    """The same, with a class that can be read and the files or options that say how images are made into pixels.

    Raises CheckpointError, IncompatibleError or ConfigError.
    """
    check_folder(spec)
    path = folder_or_repository(spec.target).path
    if path is not None:
        choose(_config(spec, path), spec)
        if not has_processor(path):
            expect_pixels(spec)


def has_text(spec: Spec) -> bool | None:
    """Whether the model of a local folder has a text tower and a tokenizer for it, None for a repository."""
    path = folder_or_repository(spec.target).path
    if path is None:
        return None
    tokenizer = any((path / name).is_file() for name in TOKENIZER_FILES)
    return tokenizer and choose(_config(spec, path), spec).family.text is not None


def has_processor(path: Path) -> bool:
    """Whether a folder says how images are made into pixels."""
    return any((path / name).is_file() for name in PROCESSOR_FILES)


def expect_pixels(spec: Spec) -> None:
    """Raises ConfigError unless the options say how images are made into pixels."""
    missing = [name for name in ("image_size", "mean", "std") if name not in spec.options]
    if missing:
        raise ConfigError(
            f"--model {spec.text!r} has no preprocessor_config.json: got no {', '.join(missing)}, "
            "expected the file, or ?image_size=N&mean=R,G,B&std=R,G,B"
        )


def _config(spec: Spec, path: Path) -> dict[str, Any]:
    if not (path / "config.json").is_file():
        raise CheckpointError(f"--model {spec.text!r}: no config.json in {path}, expected that of a transformers model")
    return _json(spec, path / "config.json")


def _json(spec: Spec, path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except ValueError as error:
        raise CheckpointError(
            f"--model {spec.text!r} cannot be loaded: {path} holds no JSON object: {error}"
        ) from error
