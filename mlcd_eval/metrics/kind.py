"""What is known about one metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.statistics import Columns, Statistic


@dataclass(frozen=True)
class MetricKind:
    """What is known about one metric.

    heading: its name in tables for people. statistic: value, interval and paired test; None for a metric that is not in
    the table, such as another harness's. over: the column whose equal entries make a unit that is resampled and
    swapped as a whole, None where each sample is a unit. among: (column, entry) of the samples that it is over, None
    for all. classes: the fewest and the most classes of which it is defined.
    """

    heading: str
    statistic: Statistic | None = None
    over: str | None = None
    among: tuple[str, str | bool] | None = None
    higher_is_better: bool = True
    unit: str = "fraction"
    classes: tuple[int, float] = (1, math.inf)

    def fits(self, num_classes: int) -> bool:
        """Whether it is defined for this number of classes."""
        fewest, most = self.classes
        return fewest <= num_classes <= most

    def selected(self, columns: Columns) -> tuple[Columns, NDArray[Any] | None]:
        """The columns of the samples that it is over, and the unit of each (None: its own)."""
        if self.among is not None:
            name, entry = self.among
            rows = [row for row, value in enumerate(columns[name]) if value == entry]
            columns = {name: _entries(values, rows) for name, values in columns.items()}
        return columns, None if self.over is None else np.asarray(columns[self.over])


def _entries(values: Sequence[Any] | NDArray[Any], rows: list[int]) -> Sequence[Any] | NDArray[Any]:
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
