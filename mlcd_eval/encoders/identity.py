"""What identifies a model: a hash of all that its features depend on, whoever wrote its adapter.

Features are kept under `EncoderInfo.fingerprint`. The adapter's part of it is what neither a tensor nor an attribute of
a module shows: config, tokenizer, code. `identified` adds what the encoder holds and, for kinds that are probed, what
it computes, so that an author who gives a constant never gets the features of other weights.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.contents import contents
from mlcd_eval.encoders.kinds import EncoderKind
from mlcd_eval.encoders.probe import probe

_CHANGES_NOTHING = {"transformers_version", "torch_dtype", "dtype"}
_PATHS = ("_file", "_path", "name_or_path")


def identified(encoder: Encoder, kind: EncoderKind) -> Encoder:
    """Return the encoder, with the whole fingerprint in its info."""
    encoder.info = replace(encoder.info, fingerprint=fingerprint(encoder, kind))
    return encoder


def fingerprint(encoder: Encoder, kind: EncoderKind) -> str:
    """Return sha256 over the adapter's part of the fingerprint, the kind's version, the encoder's contents, and its
    probe if the kind is probed."""
    parts = [
        encoder.info.fingerprint,
        f"version {kind.version}",
        contents(encoder),
        probe(encoder) if kind.probed else "not probed",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def settings_digest(*settings: object) -> str:
    """An adapter's part of a fingerprint: sha256 over plain data, in the order of its keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def settings_of(config: Any) -> object:
    """A transformers config, generation config, processor or image processor as plain data, without what names files,
    versions and number formats."""
    return _plain(config.to_dict())


def _plain(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    kept = (key for key in value if not str(key).startswith("_") and key not in _CHANGES_NOTHING)
    return {str(key): _plain(value[key]) for key in kept}


def code_beside(model_class: type) -> list[str]:
    """The texts of the Python files that a repository ships: transformers keeps them in one folder."""
    return [path.read_text(encoding="utf-8") for path in sorted(Path(inspect.getfile(model_class)).parent.glob("*.py"))]


def tokenizer_settings(tokenizer: Any) -> object:
    """A transformers tokenizer as plain data: all of a fast one, the vocabulary of others, whose merges no API shows;
    the sides that are padded and cut; and the arguments of its constructor (lower-casing, clean-up), without paths."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    arguments = {
        key: str(value)
        for key, value in tokenizer.init_kwargs.items()
        if not key.startswith("_") and not key.endswith(_PATHS)
    }
    return {
        "class": type(tokenizer).__name__,
        "vocabulary": fast.to_str() if fast is not None else sorted(tokenizer.get_vocab().items()),
        "special": {str(key): str(value) for key, value in tokenizer.special_tokens_map.items()},
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
        "arguments": arguments,
    }


def open_clip_tokenizer_settings(tokenizer: Any) -> object:
    """An open_clip tokenizer as plain data: its own vocabulary or that of the transformers tokenizer inside it, the
    function that cleans texts, the context length, and how special tokens are treated."""
    inner = getattr(tokenizer, "tokenizer", None)
    functions = (getattr(tokenizer, name, None) for name in ("clean_fn", "reduction_fn"))
    return {
        "class": type(tokenizer).__name__,
        "vocabulary": list(getattr(tokenizer, "encoder", ())) if inner is None else tokenizer_settings(inner),
        "functions": [getattr(function, "__name__", str(type(function))) for function in functions],
        "context_length": tokenizer.context_length,
        "mode": [getattr(tokenizer, name, None) for name in ("tokenizer_mode", "strip_sep_token")],
    }
