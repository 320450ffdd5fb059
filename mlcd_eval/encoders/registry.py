"""From a model's spec to an Encoder. Light: an adapter and its library are imported when a model is loaded."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from mlcd_eval.errors import CheckpointError, ConfigError, nearest

if TYPE_CHECKING:
    from mlcd_eval.encoders.base import Encoder

ADAPTERS = {
    "checkpoint": "mlcd_eval.encoders.adapters.checkpoint",
    "open_clip": "mlcd_eval.encoders.adapters.open_clip",
    "hf": "mlcd_eval.encoders.adapters.hf",
    "timm": "mlcd_eval.encoders.adapters.timm",
    "vlm": "mlcd_eval.encoders.adapters.vlm",
    "vlmevalkit": "mlcd_eval.encoders.adapters.vlmevalkit",
    "hf-seg": "mlcd_eval.encoders.adapters.hf_seg",
    "python": "mlcd_eval.encoders.adapters.python",
}
"""Kind -> module with `load(spec: Spec) -> Encoder`."""


@dataclass(frozen=True)
class Spec:
    """A parsed spec `KIND:TARGET?key=value&...`; `text` is what the user wrote."""

    text: str
    kind: str
    target: str
    options: dict[str, str]
    trust_remote_code: bool = False
    offline: bool = False

    @property
    def random_seed(self) -> int | None:
        """The seed of `?init=random&seed=N`, None for pretrained weights."""
        return int(self.options.get("seed", "0")) if self.options.get("init") == "random" else None

    @property
    def provenance(self) -> dict[str, str]:
        """What a record must say of the weights beside their fingerprint."""
        return {} if self.random_seed is None else {"weights": f"random, seed {self.random_seed}"}


HUB_KINDS = ("hf", "vlm", "hf-seg")
PACKAGES = {
    "hf": "transformers",
    "vlm": "transformers",
    "hf-seg": "transformers",
    "timm": "timm",
    "vlmevalkit": "vlmeval",
}
OPTIONS = {"open_clip": ("init", "seed"), "timm": ("init", "seed", "checkpoint", "img_size"), "vlm": ("device_map",)}

_VALUES = {"init": "random", "seed": r"\d+", "img_size": r"[1-9]\d*"}
"""Option -> what its value looks like; other values are free."""


def parse(text: str, *, trust_remote_code: bool = False, offline: bool = False) -> Spec:
    """Raises ConfigError for an unknown kind or option; anything without a kind is a path."""
    kind, colon, target = text.partition(":")
    if not colon or Path(text).exists():
        return Spec(text, "checkpoint", text, {}, trust_remote_code, offline)
    if kind not in ADAPTERS or kind == "checkpoint" or not target:
        kinds = [name for name in ADAPTERS if name != "checkpoint"]
        raise ConfigError(
            f"--model: got {text!r}, expected a checkpoint folder or KIND:NAME with KIND one of "
            f"{', '.join(kinds)}{nearest(kind, kinds)}"
        )
    target, _, query = target.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = OPTIONS.get(kind, ())
    for key, value in options.items():
        if key not in known or not re.fullmatch(_VALUES.get(key, ".*"), value, re.ASCII):
            raise ConfigError(
                f"--model {text!r}: got option {key}={value}, expected init=random, seed=N, checkpoint=PATH or "
                f"img_size=N where {kind} takes it{nearest(key, known)}"
            )
    return Spec(text, kind, target, options, trust_remote_code, offline)


def load_encoder(spec: str, *, trust_remote_code: bool = False, offline: bool = False) -> Encoder:
    """Load a model on the CPU in eval mode.

    Raises ConfigError, CheckpointError or IncompatibleError for a spec that is wrong, weights that are missing, damaged
    or of another architecture, and models that the adapter does not know.
    """
    check_spec(spec)
    parsed = parse(spec, trust_remote_code=trust_remote_code, offline=offline)
    with _hub(offline):
        return importlib.import_module(ADAPTERS[parsed.kind]).load(parsed)


@contextlib.contextmanager
def _hub(offline: bool) -> Iterator[None]:
    """Offline, the hub's files come from its local cache or not at all, whichever library asks for them."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def check_spec(text: str) -> None:
    """What can be seen without importing a model library: the kind, paths, architecture and package names."""
    spec = parse(text)
    if spec.kind == "checkpoint" and not Path(spec.target).exists():
        kinds = ", ".join(f"{kind}:" for kind in ADAPTERS if kind != "checkpoint")
        raise CheckpointError(f"--model: no file or folder {text!r}, expected a checkpoint, or a spec such as {kinds}")
    files = {path.name for path in Path(spec.target).glob("*config.json")} if spec.kind == "checkpoint" else set()
    if "open_clip_config.json" in files and "config.json" not in files:
        raise CheckpointError(f"--model: {text!r} is a folder of open_clip, expected open_clip:local-dir:{text}")
    if spec.kind == "open_clip":
        _check_open_clip(spec)
    package = PACKAGES.get(spec.kind)
    if package and importlib.util.find_spec(package) is None:
        extra = "timm" if package == "timm" else "hf"
        how = "see its own README" if package == "vlmeval" else f"pip install 'mlcd-eval[{extra}]'"
        raise ConfigError(f"--model {text!r} needs {package}, which is not installed: {how}")
    if (
        spec.kind in HUB_KINDS
        and spec.target.startswith((".", "/", "~"))
        and not Path(spec.target).expanduser().is_dir()
    ):
        raise CheckpointError(f"--model {text!r}: no folder {spec.target}, expected one with config.json")
    if spec.kind == "python" and ":" not in spec.target:
        raise ConfigError(f"--model: got {text!r}, expected python:MODULE:FACTORY or python:FILE.py:FACTORY")


def _check_open_clip(spec: Spec) -> None:
    if spec.target.startswith("local-dir:"):
        folder = Path(spec.target.removeprefix("local-dir:"))
        if not (folder / "open_clip_config.json").is_file():
            raise CheckpointError(f"--model {spec.text!r}: no {folder / 'open_clip_config.json'}, expected it there")
    elif not spec.target.startswith("hf-hub:"):
        names, name = open_clip_architectures(), spec.target.split("/")[0]
        if names and name not in names:
            raise ConfigError(
                f"--model {spec.text!r}: open_clip has no architecture {name!r}, expected one of "
                f"`mlcd-eval ls models`{nearest(name, names)}"
            )


def open_clip_architectures() -> list[str]:
    """The names that open_clip's configs bear, read without importing it; empty where it is not installed."""
    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        return []
    return sorted(config.stem for config in Path(found.origin).parent.glob("model_configs/*.json"))


def model_name(text: str) -> str:
    """A short name that is safe as a folder: what identifies the model in records and tables."""
    spec = parse(text)
    target = spec.target
    if (
        spec.kind == "checkpoint"
        or target.startswith("local-dir:")
        or (Path(target).expanduser().is_dir() and spec.kind in HUB_KINDS)
    ):
        path = Path(target.removeprefix("local-dir:")).expanduser().resolve()
        target = path.stem if path.is_file() else path.name
    elif spec.kind in HUB_KINDS or target.startswith("hf-hub:"):
        target = target.removeprefix("hf-hub:").rsplit("/", 1)[-1]
    if spec.random_seed is not None:
        target += f"_random_seed{spec.random_seed}"
    if "checkpoint" in spec.options:
        target += f"_{Path(spec.options['checkpoint']).stem}"
    if "img_size" in spec.options:
        target += f"_{spec.options['img_size']}px"
    return re.sub(r"[^A-Za-z0-9._-]+", "_", target).strip("._") or "model"
