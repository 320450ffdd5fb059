"""The step along a direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

FLAT = 0.3  # of the slope at the start: close enough to the best step
REFINE = 3  # trials, after which any step that lowers the objective is taken
MOST = 50  # trials: steps of 1e-15 are meaningless
_ROUNDING = 1e-5  # relative rounding error of the objective, for float32 logits of a few hundred


def search(at: Callable[[float], tuple[float, float]], value: float, slope: float, step: float) -> tuple[float, float]:
    """Return a step in (0, 1] that lowers the objective enough and where it is nearly flat, or 1 if it falls up to 1;
    and the objective there.

    at: step -> objective and its derivative; its last call is with the returned step. value, slope (negative): at 0.
    step: the first one to try.
    """
    low, high = (0.0, value, slope), None
    for trial in count(1):
        here_value, here_slope = at(step)
        here = step, here_value, here_slope
        # the second test is for a change that rounding hides (Hager & Zhang 2005, approximate Wolfe)
        enough = here_value <= value + 1e-4 * step * slope or (
            here_value <= value * (1 + _ROUNDING) and here_slope <= -0.8 * slope
        )
        flat = abs(here_slope) <= FLAT * abs(slope) or (here_slope < 0 and step == 1)
        if (enough and (flat or trial >= REFINE)) or trial == MOST:
            break
        if enough and here_slope < 0:
            low = here
        else:
            high = here
        if high is None:
            step = min(1.0, 4 * step)
        else:
            width = high[0] - low[0]
            best = cubic_minimiser(width, low[1], high[1], low[2], high[2])
            step = low[0] + min((0.9 if enough else 0.5) * width, max(0.05 * width, best))  # in this order for a nan
    return step, here_value


def cubic_minimiser(end: float, value: float, end_value: float, slope: float, end_slope: float) -> float:
    """Return the minimiser of the cubic with these values and slopes at 0 and `end` (Nocedal & Wright, eq. 3.59)."""
    bend = slope + end_slope - 3 * (end_value - value) / end
    root = math.sqrt(max(bend * bend - slope * end_slope, 0.0))
    below = end_slope - slope + 2 * root
    return end - end * (end_slope + root - bend) / below if below > 0 else end / 2
