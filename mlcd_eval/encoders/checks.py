"""What can be seen to be wrong with a spec before a model library is imported. A function per kind that has something
to check; each raises UserError with one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlcd_eval.encoders.bounds import check_config
from mlcd_eval.encoders.listings import open_clip_architectures, open_clip_tags, timm_models, torchvision_models
from mlcd_eval.encoders.places import prefixed
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.spelling import likely_specs
from mlcd_eval.errors import CheckpointError, ConfigError, nearest
from mlcd_eval.support.documents import read_json


def check_checkpoint(spec: Spec) -> None:
    """A path that exists, with a config of this project's beside its weights."""
    path = Path(spec.target)
    if not path.exists():
        raise CheckpointError(
            f"--model: no file or folder {spec.text!r}, expected a checkpoint, or a spec such as "
            f"{' or '.join(likely_specs(spec.text, open_clip_architectures()))} (`mlcd-eval ls models` lists all forms)"
        )
    folder = path if path.is_dir() else path.parent
    config = read_config(folder / "config.json")
    _check_config(folder / "config.json")
    if (folder / "open_clip_config.json").is_file() and "vision" not in config:
        raise CheckpointError(f"--model: {spec.text!r} is of open_clip, expected open_clip:local-dir:{path}")
    if "architecture" in config:
        raise CheckpointError(f"--model: {spec.text!r} is of timm, expected timm:local-dir:{path}")


def check_open_clip(spec: Spec) -> None:
    """A local folder with its config, or an architecture that open_clip has with a tag or a file of weights."""
    place = prefixed(spec.target)
    listed = place.path is None and place.repository is None
    if place.path is not None:
        _expect_file(spec, _folder(place.path) / "open_clip_config.json")
        _check_config(_folder(place.path) / "open_clip_config.json")
    elif listed:
        _check_open_clip_name(spec)
    if "like" in spec.options and not listed:
        raise ConfigError(f"--model {spec.text!r}: got like=, expected it with open_clip:ARCHITECTURE/FILE only")
    _check_weights_options(spec)


def _check_open_clip_name(spec: Spec) -> None:
    names = open_clip_architectures()
    name, slash, weights = spec.target.partition("/")
    if names and name not in names:
        raise ConfigError(
            f"--model {spec.text!r}: open_clip has no architecture {name!r}, expected one of "
            f"`mlcd-eval ls models`{nearest(name, names)}"
        )
    if spec.random_seed is not None:
        if slash:
            raise ConfigError(f"--model {spec.text!r}: got init=random and weights {weights!r}, expected one of them")
        return
    tags = open_clip_tags().get(name, [])
    if not weights:
        raise ConfigError(
            f"--model {spec.text!r} names no weights: expected open_clip:{name}/TAG with TAG one of "
            f"{', '.join(tags) or 'none known'}, a file, or ?init=random"
        )
    if names and weights.lower().replace("-", "_") not in tags and not Path(weights).is_file():
        raise ConfigError(
            f"--model {spec.text!r}: open_clip has no weights {weights!r} for {name}, expected a file or one of "
            f"{', '.join(tags)}{nearest(weights, tags)}"
        )


def open_clip_has_text(spec: Spec) -> bool | None:
    """open_clip's models have two towers."""
    return True


def no_joint_space(spec: Spec) -> bool | None:
    """No texts: classifiers have no text tower, and models that answer or segment give no features of texts."""
    return False


def check_timm(spec: Spec) -> None:
    """A local folder with its config, or a name that timm has with a tag that it has; a file of weights that exists."""
    place = prefixed(spec.target)
    if place.path is not None:
        _expect_file(spec, _folder(place.path) / "config.json")
        _check_config(_folder(place.path) / "config.json")
    elif place.repository is None:
        _check_timm_name(spec)
    _check_weights_file(spec, "checkpoint")
    _check_weights_options(spec)
    if "test_size" in spec.options and "img_size" in spec.options:
        raise ConfigError(f"--model {spec.text!r}: got test_size=true and img_size=, expected one of them")


def _check_timm_name(spec: Spec) -> None:
    models = timm_models()
    name, _, tag = spec.target.partition(".")
    if models and name not in models and spec.target not in models:
        raise ConfigError(f"--model {spec.text!r}: timm has no model {name!r}{nearest(name, models)}")
    tags = models.get(name, set())
    if tag and tags and tag not in tags:  # some families make their tags by a function, which is not read here
        raise ConfigError(
            f"--model {spec.text!r}: timm has no weights {tag!r} for {name}, expected one of "
            f"{', '.join(sorted(tags))}{nearest(tag, tags)}"
        )


def check_torchvision(spec: Spec) -> None:
    """A classification model of torchvision, with weights that are published or in a file, or random ones."""
    models = torchvision_models()
    if models and spec.target not in models:
        raise ConfigError(
            f"--model {spec.text!r}: torchvision has no classification model {spec.target!r}"
            f"{nearest(spec.target, models)}"
        )
    tags, weights = models.get(spec.target, []), spec.options.get("weights")
    if weights is None and spec.random_seed is None:
        raise ConfigError(
            f"--model {spec.text!r} names no weights: expected weights=FILE, weights=TAG with TAG one of "
            f"{', '.join(tags)}, or init=random"
        )
    if weights is not None and "init" in spec.options:
        raise ConfigError(f"--model {spec.text!r}: got init=random and weights=, expected one of them")
    if weights is not None and models and weights not in tags and not Path(weights).is_file():
        raise CheckpointError(
            f"--model {spec.text!r}: no file {weights}, expected a file or one of {', '.join(tags)}"
            f"{nearest(weights, tags)}"
        )
    _check_weights_options(spec)


def check_onnx(spec: Spec) -> None:
    """Files that exist: the image tower, and a text tower with its tokenizer; and how images are normalised."""
    if not Path(spec.target).is_file():
        raise CheckpointError(f"--model {spec.text!r}: no file {spec.target}, expected an ONNX model")
    if "mean" not in spec.options or "std" not in spec.options:
        raise ConfigError(
            f"--model {spec.text!r}: an ONNX file does not say how its images are normalised, expected mean=R,G,B and "
            "std=R,G,B"
        )
    _check_weights_file(spec, "text")
    if ("text" in spec.options) != ("tokenizer" in spec.options):
        raise ConfigError(f"--model {spec.text!r}: expected text=FILE and tokenizer=FOLDER together")
    tokenizer = spec.options.get("tokenizer")
    if tokenizer is not None and not Path(tokenizer).is_dir():
        raise CheckpointError(f"--model {spec.text!r}: no folder {tokenizer}, expected the files of a tokenizer")


def onnx_has_text(spec: Spec) -> bool | None:
    """A text tower is a file of its own."""
    return "text" in spec.options


def checkpoint_has_text(spec: Spec) -> bool | None:
    """Whether config.json has a text tower."""
    path = Path(spec.target)
    return read_config((path if path.is_dir() else path.parent) / "config.json").get("text") is not None


def check_python(spec: Spec) -> None:
    """A factory is named, and a file exists."""
    where, colon, factory = spec.target.rpartition(":")
    if not colon or not factory:
        raise ConfigError(f"--model: got {spec.text!r}, expected python:MODULE:FACTORY or python:FILE.py:FACTORY")
    if where.endswith(".py") and not Path(where).is_file():
        raise ConfigError(f"--model {spec.text!r}: no file {where}, expected a Python file")


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none, or half of one: loading says what is wrong with it."""
    try:
        config = read_json(path)
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _folder(path: Path) -> Path:
    """The folder of a config, for a folder or for a file of weights beside it."""
    return path.parent if path.is_file() else path


def _check_config(path: Path) -> None:
    """No size in a folder's config that no model has, nor more weights than its files hold."""
    weights = [file for file in path.parent.iterdir() if file.suffix in (".safetensors", ".bin")]
    check_config(str(path), read_config(path), weights)


def _expect_file(spec: Spec, path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"--model {spec.text!r}: no {path}, expected it there")


def _check_weights_file(spec: Spec, option: str) -> None:
    path = spec.options.get(option)
    if path is not None and not Path(path).is_file():
        raise CheckpointError(f"--model {spec.text!r}: no file {path}, expected weights for {spec.target}")


def _check_weights_options(spec: Spec) -> None:
    """No option that would be ignored."""
    if "seed" in spec.options and "init" not in spec.options:
        raise ConfigError(f"--model {spec.text!r}: got seed={spec.options['seed']} without init=random, expected both")
    if "checkpoint" in spec.options and "init" in spec.options:
        raise ConfigError(f"--model {spec.text!r}: got init=random and checkpoint=, expected one of them")
    file = prefixed(spec.target).path
    if file is not None and file.is_file() and "init" in spec.options:
        raise ConfigError(f"--model {spec.text!r}: got init=random and the weights of {file}, expected one of them")
