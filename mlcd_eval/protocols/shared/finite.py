"""A check for finite features: comparisons with NaN are false, so that it would silently rank first or never."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlcd_eval.errors import DataError
from mlcd_eval.support.mapped import let_go

_NUMBERS = 1 << 25  # checked at a time


def check_finite(array: np.ndarray, what: str, names: Sequence[str]) -> None:
    """Raise DataError naming the first row of array (N, ...) with NaN or infinity. what: a plural noun for messages."""
    rows = max(1, _NUMBERS // max(1, array[:1].size))
    finite = np.concatenate([_finite(array[i : i + rows]) for i in range(0, len(array), rows)])
    if not finite.all():
        raise DataError(
            f"{what} are not finite: got NaN or infinity in {np.count_nonzero(~finite)} of {len(finite)} rows, "
            f"first that of {names[int(finite.argmin())]!r}, expected finite numbers "
            "(damaged weights, or fp16 that overflows?)"
        )


def _finite(part: np.ndarray) -> np.ndarray:
    """Whether each row of a part is finite."""
    finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)
    let_go(part)
    return finite
