"""Predicted against observed power of `compare`'s tests: two models' outcomes on a pool of images are resampled.

python benchmarks/power.py [--draws 4000]
"""

import argparse

import numpy as np

from mlcd_eval.metrics.interval import ratio
from mlcd_eval.metrics.paired import mcnemar, permutation
from mlcd_eval.metrics.power import LEVEL, mcnemar_power, t_power

POOL = 5_000
RIGHT_OR_WRONG = [  # images, share on which exactly one model is right, difference of accuracy
    *[(50, 0.3, 0.0), (50, 0.3, 0.2), (100, 0.2, 0.1), (100, 0.5, 0.2), (235, 0.2, 0.06), (235, 0.4, 0.1)],
    *[(473, 0.1, 0.03), (473, 0.3, 0.06), (683, 0.05, 0.02), (683, 0.25, 0.05), (1000, 0.1, 0.0), (2000, 0.15, 0.02)],
]
GRADED = [  # images, deviation of the difference of scores in [0, 1], difference
    *[(50, 0.3, 0.1), (50, 0.2, 0.08), (100, 0.3, 0.0), (100, 0.3, 0.1)],
    *[(300, 0.25, 0.03), (300, 0.4, 0.08), (1000, 0.2, 0.015), (1000, 0.3, 0.03)],
]
_PERMUTATIONS = 999


def right_or_wrong(n, discordant, difference, draws, rng):
    """Predicted and observed power."""
    for_b, for_a = (round(POOL * (discordant + sign * difference) / 2) for sign in (1, -1))
    pool = np.r_[np.ones(for_b), -np.ones(for_a), np.zeros(POOL - for_b - for_a)]
    predicted = mcnemar_power(n, (for_b + for_a) / POOL, (for_b - for_a) / POOL)
    found = 0
    for _ in range(draws):
        outcomes = rng.choice(pool, n)
        found += mcnemar((outcomes < 0) * 1.0, (outcomes > 0) * 1.0) < LEVEL
    return predicted, found / draws


def graded(n, deviation, difference, draws, rng):
    """Predicted and observed power; differences are rounded to tenths, as those of few-letter answers are."""
    pool = rng.normal(0, deviation, POOL).clip(-1, 1).round(1)
    pool += difference - pool.mean()
    predicted = t_power(n, pool.mean(), pool.std() / np.sqrt(n))
    ones = np.ones(n)
    found = 0
    for _ in range(draws):
        b = np.column_stack([rng.choice(pool, n), ones])
        a = np.column_stack([np.zeros(n), ones])
        found += permutation(a, b, ratio, rng, _PERMUTATIONS) < LEVEL
    return predicted, found / draws


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    draws = parser.parse_args().draws
    rng = np.random.default_rng(0)
    print(f"power at p < {LEVEL}, {draws:,} draws per setting: standard error at most {50 / np.sqrt(draws):.1f} points")
    print("test          images  discordant|deviation  difference  predicted  observed  off by")
    largest = 0.0
    for name, measure, settings in (("McNemar", right_or_wrong, RIGHT_OR_WRONG), ("permutation", graded, GRADED)):
        for n, spread, difference in settings:
            predicted, observed = (100 * value for value in measure(n, spread, difference, draws, rng))
            largest = max(largest, abs(predicted - observed))
            print(
                f"{name:12}{n:8,}{spread:22.2f}{difference:12.3f}{predicted:11.1f}{observed:10.1f}"
                f"{predicted - observed:+8.1f}",
                flush=True,
            )
    print(f"largest difference {largest:.1f} points")


if __name__ == "__main__":
    main()
