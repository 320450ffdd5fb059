"""From a model's spec to an Encoder. Light: an adapter and its library are imported when a model is loaded."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from mlcd_eval.encoders.kinds import CHECKPOINT, KINDS, written_kinds
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.support.hub import hub_access

if TYPE_CHECKING:
    from mlcd_eval.encoders.base import Encoder


def parse(text: str, *, trust_remote_code: bool = False, offline: bool = False) -> Spec:
    """Raises ConfigError for an unknown kind or option; anything without a kind is a path."""
    kind, colon, target = text.partition(":")
    if not colon or Path(text).exists():
        return Spec(text, CHECKPOINT, text, {}, trust_remote_code, offline)
    if kind not in KINDS or kind == CHECKPOINT or not target:
        kinds = written_kinds()
        raise ConfigError(
            f"--model: got {text!r}, expected a checkpoint folder or KIND:NAME with KIND one of "
            f"{', '.join(kinds)}{nearest(kind, kinds)}"
        )
    target, _, query = target.partition("?")
    spec = Spec(text, kind, target, dict(parse_qsl(query, keep_blank_values=True)), trust_remote_code, offline)
    _check_options(spec)
    return spec


def _check_options(spec: Spec) -> None:
    known = {option.name: option for option in KINDS[spec.kind].options}
    expected = ", ".join(f"{option.name}={option.metavar}" for option in known.values())
    for name, value in spec.options.items():
        if name not in known or not re.fullmatch(known[name].pattern, value, re.ASCII):
            raise ConfigError(
                f"--model {spec.text!r}: got option {name}={value}, expected "
                f"{expected or f'none, since {spec.kind}: takes no options'}{nearest(name, known)}"
            )


def check_spec(text: str) -> None:
    """Raises UserError for what can be seen without importing a model library: the kind, its package, paths, names."""
    spec = parse(text)
    kind = KINDS[spec.kind]
    if kind.package is not None and importlib.util.find_spec(kind.package) is None:
        how = "its own documentation says how" if kind.extra is None else f"pip install 'mlcd-eval[{kind.extra}]'"
        raise ConfigError(f"--model {text!r} needs {kind.package}, which is not installed: {how}")
    kind.check(spec)


def load_encoder(spec: str, *, trust_remote_code: bool = False, offline: bool = False) -> Encoder:
    """Load a model on the CPU in eval mode, with the fingerprint of all that its features depend on.

    Raises ConfigError, CheckpointError or IncompatibleError for a spec that is wrong, weights that are missing, damaged
    or of another architecture, and models that the adapter does not know.
    """
    check_spec(spec)
    parsed = parse(spec, trust_remote_code=trust_remote_code, offline=offline)
    kind = KINDS[parsed.kind]
    with hub_access(offline):
        encoder: Encoder = importlib.import_module(kind.module).load(parsed)
    from mlcd_eval.encoders.identity import identified  # imports torch

    return identified(encoder, kind)


def model_name(text: str) -> str:
    """A short name that is safe as a folder: what identifies the model in records and tables."""
    spec = parse(text)
    kind = KINDS[spec.kind]
    place = kind.place(spec.target)
    name = spec.target
    if place.path is not None:
        path = place.path.expanduser().resolve()
        name = path.stem if path.is_file() else path.name
    elif place.repository is not None:
        name = place.repository.rsplit("/", 1)[-1]
    name += "".join(option.label(spec.options) for option in kind.options if option.name in spec.options)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "model"
