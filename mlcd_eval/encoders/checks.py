"""What can be seen to be wrong with a spec before a model library is imported. A function per kind that has something
to check; each raises UserError with one sentence."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mlcd_eval.encoders.places import prefixed
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.spelling import likely_specs
from mlcd_eval.errors import CheckpointError, ConfigError, nearest


def check_checkpoint(spec: Spec) -> None:
    """A path that exists and is no folder of open_clip."""
    path = Path(spec.target)
    if not path.exists():
        raise CheckpointError(
            f"--model: no file or folder {spec.text!r}, expected a checkpoint, or a spec such as "
            f"{' or '.join(likely_specs(spec.text, open_clip_architectures()))} (`mlcd-eval ls models` lists all forms)"
        )
    if (path / "open_clip_config.json").is_file() and not (path / "config.json").is_file():
        raise CheckpointError(f"--model: {spec.text!r} is a folder of open_clip, expected open_clip:local-dir:{path}")


def check_open_clip(spec: Spec) -> None:
    """A local folder with its config, or an architecture that open_clip has."""
    place = prefixed(spec.target)
    if place.path is not None:
        _expect_file(spec, place.path / "open_clip_config.json")
    elif place.repository is None:
        names, name = open_clip_architectures(), spec.target.split("/")[0]
        if names and name not in names:
            raise ConfigError(
                f"--model {spec.text!r}: open_clip has no architecture {name!r}, expected one of "
                f"`mlcd-eval ls models`{nearest(name, names)}"
            )
    _check_weights_options(spec)


def check_timm(spec: Spec) -> None:
    """A local folder with its config, a file of weights that exists; which names timm has, only timm knows."""
    place = prefixed(spec.target)
    if place.path is not None:
        _expect_file(spec, place.path / "config.json")
    checkpoint = spec.options.get("checkpoint")
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise CheckpointError(f"--model {spec.text!r}: no file {checkpoint}, expected weights for {spec.target}")
    _check_weights_options(spec)


def check_python(spec: Spec) -> None:
    """A factory is named, and a file exists."""
    where, colon, factory = spec.target.rpartition(":")
    if not colon or not factory:
        raise ConfigError(f"--model: got {spec.text!r}, expected python:MODULE:FACTORY or python:FILE.py:FACTORY")
    if where.endswith(".py") and not Path(where).is_file():
        raise ConfigError(f"--model {spec.text!r}: no file {where}, expected a Python file")


def open_clip_architectures() -> list[str]:
    """The names of open_clip's configs, read without importing it; empty where it is not installed."""
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        return []
    return sorted(config.stem for config in Path(package.origin).parent.glob("model_configs/*.json"))


def _expect_file(spec: Spec, path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"--model {spec.text!r}: no {path}, expected it there")


def _check_weights_options(spec: Spec) -> None:
    """No option that would be ignored."""
    if "seed" in spec.options and "init" not in spec.options:
        raise ConfigError(f"--model {spec.text!r}: got seed={spec.options['seed']} without init=random, expected both")
    if "checkpoint" in spec.options and "init" in spec.options:
        raise ConfigError(f"--model {spec.text!r}: got init=random and checkpoint=, expected one of them")
