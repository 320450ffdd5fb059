"""How the time of the full linear probe grows with samples, dimensions and classes, and the cost of a pass.

python benchmarks/probe_growth.py [--base N D C] [--threads 2]         each of N, D, C times 1/4, 1 and 4
python benchmarks/probe_growth.py --passes 3 --base 1281167 768 1000   one fit, stopped after 3 passes
"""

import argparse
import resource
import time

import numpy as np
from linear_probe import ours, processor, synthetic


def growth(base):
    """Print one line per size: seconds of the sweep, passes over the data, milliseconds per pass, and speed."""
    sizes = [tuple(base)]
    for axis in range(3):
        for factor in (0.25, 4):
            size = list(base)
            size[axis] = int(size[axis] * factor)
            sizes.append(tuple(size))
    print(f"{'N':>8}{'D':>6}{'C':>6}{'seconds':>10}{'passes':>8}{'ms/pass':>11}{'GFLOP/s':>9}{'test':>8}")
    for n, d, c in sizes:
        seconds, details, accuracy = ours(*synthetic(n, d, c), seed=0)
        passes = sum(step["iterations"] for step in details["search"]) + details["iterations"]
        speed = 4 * n * d * c * passes / seconds / 1e9
        print(f"{n:8d}{d:6d}{c:6d}{seconds:10.2f}{passes:8d}{1000 * seconds / passes:11.2f}{speed:9.0f}{accuracy:8.3f}")


def single_fit(n, d, c, passes):
    """Print the time of the preparation, and of each pass of a fit that is stopped after `passes`."""
    from mlcd_eval.protocols.classification.logistic import LogisticProblem

    rng = np.random.default_rng(0)
    labels = rng.integers(c, size=n)
    features = rng.standard_normal((n, d), dtype=np.float32)
    features += rng.standard_normal((c, d), dtype=np.float32)[labels] * 0.3
    start = time.perf_counter()
    problem = LogisticProblem(features, labels, c)
    prepared = time.perf_counter()
    fit = problem.fit(1.0, max_iterations=passes)
    pass_seconds = (time.perf_counter() - prepared) / fit.iterations
    gflops = 4 * n * d * c / pass_seconds / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{n} x {d}, {c} classes: prepared in {prepared - start:.0f} s, {pass_seconds:.1f} s per pass "
        f"({gflops:.0f} GFLOP/s), peak {peak:.1f} GiB, of which features {4 * n * d / 2**30:.1f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", nargs=3, type=int, default=(10_000, 256, 64), metavar=("N", "D", "C"))
    parser.add_argument("--passes", type=int, help="run this many passes of one fit instead of the sweeps")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    print(f"{processor()}, {arguments.threads} threads, torch {torch.__version__}")
    if arguments.passes:
        single_fit(*arguments.base, arguments.passes)
    else:
        ours(*synthetic(400, 32, 8), seed=0)  # warm-up of the libraries
        growth(arguments.base)


if __name__ == "__main__":
    main()
