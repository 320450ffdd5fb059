"""How many tokens texts have, counted once per model and list of texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.support.disk_memo import memoised

MEMO = "tokens"
"""The folder of the cache where numbers of tokens are remembered."""


@dataclass(frozen=True)
class _Counts:
    counts: list[int] | None


def token_counts(encoder: Encoder, cache: Path, texts: Sequence[str]) -> Sequence[int] | None:
    """Return the numbers of tokens of texts before they are cut, None where the model does not tell."""
    if encoder.info.context_length is None:
        return None
    unique = list(dict.fromkeys(texts))
    digest = hashlib.sha256(json.dumps(unique).encode()).hexdigest()
    identity = f"{encoder.info.fingerprint} {digest}"
    counts = memoised(cache / MEMO, identity, _Counts, lambda: _Counts(encoder.count_tokens(unique))).counts
    if counts is None:
        return None
    by_text = dict(zip(unique, counts, strict=True))
    return [by_text[text] for text in texts]
