"""How many bad samples a run tolerates: one share for all reasons, and a count of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlcd_eval.errors import DataError
from mlcd_train.data.batches import Bad


class Tolerance:
    """Counts this rank's bad samples, each once, however often it is met.

    share: of the data set's `size` samples that may be bad.
    """

    def __init__(self, dataset: str, size: int, share: float) -> None:
        self._dataset, self._size, self._share = dataset, size, share
        self._met: set[int] = set()
        self._reasons: Counter[str] = Counter()

    def add(self, samples: Sequence[Bad]) -> None:
        """Count more samples; raises DataError, with the counts by reason, where they are too many."""
        for bad in samples:
            if (identity := hash(bad)) not in self._met:
                self._met.add(identity)
                self._reasons[bad.reason] += 1
        if len(self._met) > self._share * self._size:
            counts = ", ".join(f"{reason}: {count:,}" for reason, count in self._reasons.most_common())
            raise DataError(
                f"training data {self._dataset}: got {len(self._met):,} bad samples of {self._size:,} ({counts}), "
                f"expected at most a share of {self._share:g} (data.allow_bad), such as: "
                f"{'; '.join(bad.message for bad in samples[:3])}"
            )
