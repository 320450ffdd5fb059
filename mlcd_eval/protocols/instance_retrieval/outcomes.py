"""From the places of what queries look for to their samples, and what a ranking drawn at random would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.found import (
    AREAS,
    Ranks,
    chance_of_hit,
    chance_of_precision,
    chance_of_precision_within,
    precision_within,
    r_precision,
    share_within,
)
from mlcd_eval.metrics.searches import NO_LEVEL


class Found(NamedTuple):
    """The searches of one level. places: query -> the ranks of its positives, of queries that have one. num_images: how
    many images count in the search of each query (Q,)."""

    places: Mapping[int, Ranks]
    num_images: NDArray[np.int64]


def by_query(query: NDArray[np.int64], ranks: NDArray[np.int64]) -> dict[int, Ranks]:
    """Return query -> its ranks, from links (K,) that are rising by query and rank."""
    asked, begins = np.unique(query, return_index=True)
    return dict(zip(asked.tolist(), np.split(ranks, begins[1:]), strict=False))


class Measured(NamedTuple):
    """What is measured of a ranking, as the settings say."""

    ks: Sequence[int]
    map_at: int
    precision_at: Sequence[int]
    average_precision: str

    def names(self) -> list[str]:
        """The metrics, without their level."""
        recalls = [f"recall@{k}" for k in self.ks]
        return ["map", f"map@{self.map_at}", "map_r", "r_precision", *recalls, *(f"mp@{k}" for k in self.precision_at)]

    def outcome(self, ranks: Ranks) -> dict[str, float]:
        """Column -> its entry for a query with these ranks."""
        return {
            "map": AREAS[self.average_precision](ranks),
            f"map@{self.map_at}": precision_within(ranks, self.map_at),
            "map_r": precision_within(ranks, len(ranks)),
            "r_precision": r_precision(ranks),
            "rank": int(ranks[0]),
            **{f"mp@{k}": share_within(ranks, k) for k in self.precision_at},
        }

    def samples(
        self, keys: Sequence[str], levels: Mapping[str, Found], places: Sequence[int] | None = None
    ) -> dict[str, list[Any]]:
        """Return the columns of samples: a row for each query at each level at which it has a positive, in the order of
        queries; one of NO_LEVEL for a query that never has one. places: of each query among all, a column `place`."""
        rows: list[dict[str, Any]] = []
        for number, key in enumerate(keys):
            found = {level: each.places[number] for level, each in levels.items() if number in each.places}
            rows += [
                {"key": key if len(levels) == 1 else f"{key}#{level}", "level": level, **self.outcome(ranks)}
                for level, ranks in found.items()
            ]
            if not found:
                nothing = dict.fromkeys(self.outcome(np.ones(1, np.int64)), 0.0)
                rows.append({"key": key, "level": NO_LEVEL, **nothing, "rank": 0})
            if places is not None:
                rows[-1]["place"] = places[number]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def chance(self, found: Found) -> dict[str, float]:
        """Return what a ranking that is drawn at random scores on average: mAP, also at K and at R, and recalls."""
        sizes = [(len(ranks), int(found.num_images[query])) for query, ranks in found.places.items()]
        hits = {f"recall@{k}": [chance_of_hit(*size, k) for size in sizes] for k in self.ks}
        areas = {
            "map": [chance_of_precision(*size, self.average_precision) for size in sizes],
            f"map@{self.map_at}": [chance_of_precision_within(*size, self.map_at) for size in sizes],
            "map_r": [chance_of_precision_within(*size, size[0]) for size in sizes],
        }
        return {name: float(np.mean(values)) for name, values in {**areas, **hits}.items()}
