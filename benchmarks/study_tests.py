"""Tests of the study: paired over seeds, and over images, Holm-corrected within a family of comparisons."""

import json
import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from study_design import Cell
from study_measures import mean_average_precision

from mlcd_eval.metrics.distributions import t_isf, t_tail
from mlcd_eval.metrics.paired import holm

LEVEL = 0.05
DRAWS = 500  # of the permutation of images


@dataclass(frozen=True)
class Found:
    """The difference B - A of a comparison. values: (A, B) of each seed. ci95, p: of seeds, with the deviation of all
    differences of the family. p_images: of a permutation of images, None without outcomes. adjusted: the larger of
    both, after Holm's correction."""

    name: str
    values: tuple[tuple[float, float], ...]
    difference: float
    ci95: tuple[float, float]
    p: float
    p_images: float | None
    adjusted: float


def read_records(folder):
    """{cell: record} of a folder."""
    records = (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    return {Cell(**record["cell"]): record for record in records}


def value_of(record, measure, length=None):
    """A measure at a length, by default the longest one."""
    return record["measures"][str(length or record["lengths"][-1])][measure]


def family(records, comparisons, measure, length=None, outcomes=None, labels=None):
    """Test each (name, A, B) of a family, where A and B are cells of seed 0 that stand for all seeds.

    The deviation of paired differences is pooled over the family, since few seeds give a poor one. outcomes: a folder
    of cosines of the test scenes, with labels (N, C), for the second test. Comparisons of fewer than two common seeds
    are left out.
    """
    parts = []
    for name, a, b in comparisons:
        pairs = [(x, y) for x in records for y in records if _same(x, a) and _same(y, b) and x.seed == y.seed]
        if len(pairs) > 1:
            values = [tuple(value_of(records[cell], measure, length) for cell in pair) for pair in pairs]
            parts.append((name, pairs, np.array(values)))
    if not parts:
        return []
    differences = [values[:, 1] - values[:, 0] for _, _, values in parts]
    degrees = sum(len(each) - 1 for each in differences)
    deviation = math.sqrt(sum(((each - each.mean()) ** 2).sum() for each in differences) / degrees)
    tests = []
    for (_, pairs, _), each in zip(parts, differences, strict=True):
        error = deviation / math.sqrt(len(each))
        p = 2 * t_tail(abs(each.mean()) / error, degrees) if error else float(each.mean() == 0)
        tests.append((error, p, None if outcomes is None else of_images(pairs, outcomes, labels)))
    by_seeds = holm([p for _, p, _ in tests])
    by_images = [0.0] * len(tests) if outcomes is None else holm([p for _, _, p in tests])
    reach = t_isf(LEVEL / 2, degrees)
    return [
        Found(
            name,
            tuple(map(tuple, values.tolist())),
            each.mean(),
            (each.mean() - reach * error, each.mean() + reach * error),
            p,
            p_images,
            max(first, second),
        )
        for (name, _, values), each, (error, p, p_images), first, second in zip(
            parts, differences, tests, by_seeds, by_images, strict=True
        )
    ]


def of_images(pairs, outcomes, labels):
    """p of a permutation that exchanges both cells' ranks of an image, in all seeds at once. The statistic is the mean
    of mAP over seeds."""
    ranks = [np.hstack([_ranks(outcomes / f"{pair[side].name}.npy") for pair in pairs]) for side in (0, 1)]
    labels, rng = np.tile(labels, len(pairs)), np.random.default_rng(0)

    def difference(swap):
        first, second = np.where(swap, ranks[1], ranks[0]), np.where(swap, ranks[0], ranks[1])
        return abs(mean_average_precision(second, labels) - mean_average_precision(first, labels))

    none = np.zeros((len(labels), 1), bool)
    observed = difference(none)
    as_large = sum(difference(rng.random(none.shape) < 0.5) >= observed - 1e-12 for _ in range(DRAWS))
    return (as_large + 1) / (DRAWS + 1)


def _ranks(path):
    return rankdata(np.load(path).astype(np.float64), axis=0)


def _same(cell, wanted):
    """Whether a cell is another one but for its seed."""
    return cell == wanted or {**vars(cell), "seed": 0} == {**vars(wanted), "seed": 0}
