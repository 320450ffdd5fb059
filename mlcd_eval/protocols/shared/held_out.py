"""Which images are held out while a setting is chosen, where the data has no val split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import IncompatibleError


def held_out_rows(units: Sequence[str], fraction: float, chance: np.random.Generator) -> NDArray[np.bool_]:
    """Whether each image is held out: those of a share of the units, at least one and not all of them.

    Raises IncompatibleError where there is one unit.
    """
    distinct = sorted(set(units))
    if len(distinct) < 2:
        raise IncompatibleError(
            f"lambda is chosen on images that are held out: got {len(distinct)} train image or scene, expected two "
            "(or a val split, or set lambda_)"
        )
    count = min(len(distinct) - 1, max(1, round(fraction * len(distinct))))
    chosen = set(chance.permutation(distinct)[:count].tolist())
    return np.array([unit in chosen for unit in units])
