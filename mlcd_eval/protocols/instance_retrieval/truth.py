"""Which images of the gallery each query is to find, and which do not count: from labels, or from lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Search
from mlcd_eval.metrics.search import Links
from mlcd_eval.metrics.searches import LEVELS

Marks = NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """links: queries with the rows of the gallery that they are to find or to pass over. levels: level -> which of the
    links are wanted and which ignored, (M,) each; none is both. counts: what of the lists is not as it should be."""

    links: Links
    levels: Mapping[str, tuple[Marks, Marks]]
    counts: Mapping[str, int] = field(default_factory=dict)


def from_labels(queries: NDArray[np.int64], gallery: NDArray[np.int64] | None) -> Truth:
    """Return the truth of labels (Q,) and (G,): images of the same label are wanted. Without a gallery the queries are
    their own, in which each ignores itself."""
    others = queries if gallery is None else gallery
    order = np.argsort(others, kind="stable")
    first, last = (np.searchsorted(others[order], queries, side) for side in ("left", "right"))
    query = np.repeat(np.arange(len(queries)), last - first)
    within = np.arange(len(query)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    links = Links(query, order[np.repeat(first, last - first) + within])
    ignored = links.query == links.row if gallery is None else np.zeros(len(query), bool)
    return Truth(links, {LEVELS[0]: (~ignored, ignored)})


def from_searches(searches: Sequence[Search], rows: Mapping[str, int]) -> Truth:
    """Return the truth of lists, for queries in their order. rows: key -> row of the gallery.

    An image that is listed as positive and as junk is positive; one that the gallery lacks, for it could not be read or
    is beyond --limit, is passed over. Both are counted. Where any search has hard positives, there are the levels easy,
    medium and hard (Radenovic et al. 2018): easy ignores the hard ones, hard the easy ones.
    """
    query, row, marks = [], [], []
    overlap = absent = 0
    for number, search in enumerate(searches):
        easy, hard, junk = (set(keys) for keys in (search.positives, search.hard, search.junk))
        overlap += len((easy | hard) & junk)
        for key in sorted(easy | hard | junk, key=lambda key: rows.get(key, -1)):
            if key not in rows:
                absent += 1
                continue
            query.append(number)
            row.append(rows[key])
            marks.append((key in easy, key in hard))
    links = Links(np.array(query, np.int64), np.array(row, np.int64))
    is_easy, is_hard = np.array(marks, bool).reshape(-1, 2).T
    if any(search.hard for search in searches):
        wanted = dict(zip(LEVELS[1:], (is_easy, is_easy | is_hard, is_hard), strict=True))
    else:
        wanted = {LEVELS[0]: is_easy}
    levels = {level: (these, ~these) for level, these in wanted.items()}
    return Truth(links, levels, {"num_positive_and_junk": overlap, "num_listed_but_not_in_gallery": absent})
