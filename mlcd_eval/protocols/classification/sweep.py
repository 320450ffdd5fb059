"""CLIP's search for the regularisation strength (appendix A.3): a parametric binary search over a log-spaced grid."""

from __future__ import annotations

from collections.abc import Callable

STEPS_PER_DECADE = 8
LAMBDAS = tuple(10.0 ** (-6 + step / STEPS_PER_DECADE) for step in range(96 + 1))
"""1e-6 to 1e6 in 96 steps."""

_COARSE = 2 * STEPS_PER_DECADE  # from 1e-6, 1e-4, ..., 1e6
MOST_CANDIDATES = 15
"""How many lambdas a search tries at most: 7, then twice 4 as the distance is halved from 16 steps to 1."""


def search_lambda(evaluate: Callable[[float], float]) -> tuple[float, dict[float, float]]:
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
