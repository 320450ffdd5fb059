"""From a model's spec to an Encoder. Light: an adapter and its library are imported when a model is loaded."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from mlcd_eval.encoders.bounds import check_options
from mlcd_eval.encoders.kinds import CHECKPOINT, KINDS, EncoderKind, written_kinds
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.spelling import likely_kind, several_specs
from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.support.hub import hub_access

if TYPE_CHECKING:
    from mlcd_eval.encoders.base import Encoder


RESERVED_FOLDERS = ("samples", "submissions", "outcomes", "keys")
"""Folders beside records, which are not searched for records."""


def parse(text: str, *, trust_remote_code: bool = False, offline: bool = False) -> Spec:
    """Return the parts of a spec; anything without a kind is a path.

    Raises ConfigError for an unknown kind or option.
    """
    kind, colon, target = text.partition(":")
    several = several_specs(text, written_kinds()) if "," in text and not Path(text).exists() else []
    if several:
        raise ConfigError(
            f"--model: got several models in {text!r}, expected {' '.join(f'--model {part}' for part in several)}"
        )
    if not colon or Path(text).exists():
        return Spec(text, CHECKPOINT, text, {}, trust_remote_code, offline)
    if kind not in KINDS or kind == CHECKPOINT or not target:
        kinds = written_kinds()
        raise ConfigError(
            f"--model: got {text!r}, expected a checkpoint folder or KIND:NAME with KIND one of "
            f"{', '.join(kinds)}{likely_kind(text) or nearest(kind, kinds)}"
        )
    target, _, query = target.partition("?")
    spec = Spec(text, kind, target, dict(parse_qsl(query, keep_blank_values=True)), trust_remote_code, offline)
    _check_options(spec)
    return spec


def _check_options(spec: Spec) -> None:
    if KINDS[spec.kind].is_function:
        return
    known = {option.name: option for option in KINDS[spec.kind].options}
    expected = ", ".join(f"{option.name}={option.metavar}" for option in known.values())
    for name, value in spec.options.items():
        if name not in known or not re.fullmatch(known[name].pattern, value, re.ASCII):
            raise ConfigError(
                f"--model {spec.text!r}: got option {name}={value}, expected "
                f"{expected or f'none, since {spec.kind}: takes no options'}{nearest(name, known)}"
            )


def check_spec(text: str) -> None:
    """Raise UserError for what can be seen without importing a model library: the kind, its package, paths, names."""
    spec = parse(text)
    kind = KINDS[spec.kind]
    if kind.package is not None and importlib.util.find_spec(kind.package) is None:
        how = "its own documentation says how" if kind.extra is None else f"pip install 'mlcd-eval[{kind.extra}]'"
        raise ConfigError(f"--model {text!r} needs {kind.package}, which is not installed: {how}")
    check_options(spec)
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
    """Return a short name that is safe as a folder, which identifies the model in records and tables."""
    spec = parse(text)
    kind = KINDS[spec.kind]
    place = kind.place(spec.target)
    name = spec.target
    if place.path is not None:
        path = Path(os.path.realpath(place.path.expanduser()))  # of a loop of links too
        name = path.stem if path.is_file() else path.name
    elif place.repository is not None:
        name = place.repository.rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name + _label(kind, spec)).strip("._") or "model"


def _label(kind: EncoderKind, spec: Spec) -> str:
    """Return what the options of a spec add to the model's name."""
    if kind.is_function:
        return "".join(f"_{name}_{Path(value).name}" for name, value in spec.options.items())
    return "".join(option.label(spec.options) for option in kind.options if option.name in spec.options)


def named(text: str) -> tuple[str, str]:
    """Return (name, spec) for `NAME=SPEC`, or for a spec alone, whose name is made from it.

    Raises ConfigError for a name that cannot be a folder of records.
    """
    name, equals, spec = text.partition("=")
    if not equals or re.search("[:?]", name) or Path(text).exists():  # the sign belongs to an option or a path
        return model_name(text), text
    check_name(name)
    if not spec:
        raise ConfigError(f"--model: got {text!r}, expected a spec after the name, as in {name}=hf:PATH")
    return name, spec


def check_name(name: str) -> None:
    """Raise ConfigError for a name of a model that cannot be a folder of records."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name) or name in RESERVED_FOLDERS:
        raise ConfigError(
            f"a model's name is {name!r}, expected letters, digits and any of ._+- after the first, and not "
            f"{' or '.join(RESERVED_FOLDERS)} (NAME=SPEC; a path with = in it must exist)"
        )
