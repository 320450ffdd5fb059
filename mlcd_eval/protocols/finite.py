"""Features that are numbers: NaN compares as false, so that it would rank first or never, unseen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlcd_eval.errors import DataError

_ROWS = 1 << 16


def check_finite(array: np.ndarray, what: str, names: Sequence[str]) -> None:
    """Raise DataError naming the first row of array (N, D) that holds NaN or infinity. what: in the plural."""
    finite = np.concatenate([np.isfinite(array[i : i + _ROWS]).all(axis=1) for i in range(0, len(array), _ROWS)])
    if not finite.all():
        raise DataError(
            f"{what} are not finite: got NaN or infinity in {np.count_nonzero(~finite)} of {len(finite)} rows, "
            f"first that of {names[int(finite.argmin())]!r}, expected finite numbers "
            "(damaged weights, or fp16 that overflows?)"
        )
