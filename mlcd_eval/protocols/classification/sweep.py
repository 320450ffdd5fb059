"""Searches for the regularisation strength: CLIP's (appendix A.3), a parametric binary search over a log-spaced grid,
and DINOv2's, the whole of a coarser grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from mlcd_eval.protocols.classification.logistic import Fit, Path

Evaluate = Callable[[float], float]
"""lambda -> its score, larger is better."""
STEPS_PER_DECADE = 8
LAMBDAS = tuple(10.0 ** (-6 + step / STEPS_PER_DECADE) for step in range(96 + 1))
"""1e-6 to 1e6 in 96 steps."""

_COARSE = 2 * STEPS_PER_DECADE  # from 1e-6, 1e-4, ..., 1e6
MOST_CANDIDATES = 15
"""How many lambdas a search tries at most: 7, then twice 4 as the distance is halved from 16 steps to 1."""


def search_lambda(evaluate: Evaluate) -> tuple[float, dict[float, float]]:
    """Return the best lambda, and the scores of all that were tried, by descending lambda.

    The search scores 1e-6, 1e-4, ..., 1e6, then the two grid points halfway to the neighbours of the best one so far,
    and halves the distance until it is one step. Of equal scores the larger lambda wins: it is the simpler model, and
    on a plateau at either end of the grid the choice does not depend on rounding. A larger value of `evaluate` is
    better. It is called from large lambda to small in each round, for warm starts.
    """
    scores: dict[int, float] = {}
    candidates, stride = list(range(0, len(LAMBDAS), _COARSE)), _COARSE
    while True:
        for step in sorted(candidates, reverse=True):
            if 0 <= step < len(LAMBDAS) and step not in scores:
                scores[step] = evaluate(LAMBDAS[step])
        best = max(scores, key=lambda step: (scores[step], step))
        if stride == 1:
            return LAMBDAS[best], {LAMBDAS[step]: scores[step] for step in sorted(scores, reverse=True)}
        stride //= 2
        candidates = [best - stride, best + stride]


@dataclass
class Candidates(ABC):
    """Fits for candidates of lambda, by `score`. best: the best score so far; a candidate that cannot reach it is
    fitted only roughly."""

    path: Path
    advance: Advance
    best: float = 0.0

    def score(self, lambda_: float) -> float:
        """Return the score of a candidate."""
        score = self._score(self.path.fit(lambda_, self._in_reach))
        self.best = max(self.best, score)
        self.advance(1)
        return score

    @abstractmethod
    def _score(self, fit: Fit) -> float:
        """Of a fit, on what is held out."""

    @abstractmethod
    def _in_reach(self, fit: Fit) -> bool:
        """Whether a rough fit may still become the best one."""


DINO_CS = tuple(10 ** (-6 + 11 * step / 44) for step in range(45))
"""C = 10^linspace(-6, 5, 45) of DINOv2's and DINOv3's eval/log_regression.py."""


@dataclass(frozen=True)
class Sweep:
    """A search. most: the number of candidates, at most. search: as `search_lambda`."""

    most: int
    search: Callable[[Evaluate], tuple[float, dict[float, float]]]


def sweep_of(name: str, binary: bool) -> Sweep:
    """Return the search of the setting `sweep`. binary: whether softmax has two classes, see `lambda_of_c`."""
    if name == "clip":
        return Sweep(MOST_CANDIDATES, search_lambda)
    lambdas = [lambda_of_c(c, binary) for c in DINO_CS]

    def search(evaluate: Evaluate) -> tuple[float, dict[float, float]]:
        scores = {lambda_: evaluate(lambda_) for lambda_ in lambdas}  # from large to small
        return max(scores, key=lambda lambda_: scores[lambda_]), scores

    return Sweep(len(lambdas), search)


def lambda_of_c(c: float, binary: bool) -> float:
    """Return the lambda of scikit-learn's C. For two classes it has one row of weights, here there are two, whose
    difference it is: their penalty is half as large."""
    return (2 if binary else 1) / c
