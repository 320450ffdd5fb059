"""How much a linear probe's test accuracy depends on the draw that chooses lambda: held-out part against folds.

python benchmarks/selection.py FILE.npz ... [--subsets 10]     {train,test}_{features,labels}

Each set is probed with several seeds by both selections; so are random halves of its train images. The spread is the
standard deviation of the test accuracy over seeds, in points; the cost is that of the process's CPU time.
"""

import argparse
import statistics
import time

import numpy as np

from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification.linear_probe import LinearProbe, LinearProbeSettings

SELECTIONS = ("holdout", "cross_validation")


def scored(train, test, selection, seed):
    """Accuracy in per cent, its stated deviation over selections in points, and CPU seconds."""
    images = {
        name: Features(x, [str(row) for row in range(len(x))], y) for name, (x, y) in (("train", train), ("test", test))
    }
    start = time.process_time()
    scores = LinearProbe().score(LinearProbeSettings(selection=selection), Inputs(images, seed=seed))
    seconds = time.process_time() - start
    stated = scores.details.get("std_over_selections", {}).get("acc1", 0.0)
    return 100 * {metric.name: metric.value for metric in scores.metrics}["acc1"], 100 * stated, seconds


def measured(name, train, test, seeds):
    """Print a line; return for each selection mean, standard deviation, stated deviation and seconds."""
    rows = {}
    for selection in SELECTIONS:
        accuracy, stated, seconds = zip(*(scored(train, test, selection, seed) for seed in range(seeds)), strict=True)
        rows[selection] = (
            statistics.mean(accuracy),
            statistics.stdev(accuracy),
            statistics.mean(stated),
            statistics.median(seconds),
        )
    (a, sd_a, _, cost_a), (b, sd_b, stated, cost_b) = (rows[selection] for selection in SELECTIONS)
    print(
        f"{name:24} train {len(train[1]):5,} seeds {seeds:2}  holdout {a:.2f} +- {sd_a:.2f}  "
        f"folds {b:.2f} +- {sd_b:.2f} (stated {stated:.2f})  cost {cost_b / cost_a:.1f}",
        flush=True,
    )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE.npz")
    parser.add_argument("--subsets", type=int, default=10, help="random halves of each set's train images")
    parser.add_argument("--seeds", type=int, nargs=2, default=(20, 5), help="for a whole set, and for a subset")
    arguments = parser.parse_args()
    halves = []
    for file in arguments.files:
        data = np.load(file)
        train, test = ((data[f"{split}_features"], data[f"{split}_labels"]) for split in ("train", "test"))
        name = file.rpartition("/")[2].removesuffix(".npz")
        measured(name, train, test, arguments.seeds[0])
        for subset in range(arguments.subsets):
            rows = np.random.default_rng(subset).permutation(len(train[1]))[: len(train[1]) // 2]
            part = tuple(array[rows] for array in train)
            halves.append(measured(f"{name}, half {subset}", part, test, arguments.seeds[1]))
    means = {selection: np.mean([rows[selection] for rows in halves], axis=0) for selection in SELECTIONS}
    gains = [rows["cross_validation"][0] - rows["holdout"][0] for rows in halves]
    rms = {selection: np.sqrt(np.mean([rows[selection][1] ** 2 for rows in halves])) for selection in SELECTIONS}
    print(
        f"{len(halves)} halves: mean accuracy {means['holdout'][0]:.2f} and {means['cross_validation'][0]:.2f}, "
        f"gain {np.mean(gains):+.2f} +- {np.std(gains, ddof=1) / len(gains) ** 0.5:.2f} (least {min(gains):+.2f}), "
        f"root mean square spread {rms['holdout']:.2f} and {rms['cross_validation']:.2f}, ratio "
        f"{rms['holdout'] / rms['cross_validation']:.1f}, cost {means['cross_validation'][3] / means['holdout'][3]:.1f}"
    )


if __name__ == "__main__":
    main()
