"""Spherical k-means: ours against faiss-cpu, on the same rows with as many iterations, each in a separate process.

pip install faiss-cpu; python benchmarks/clustering.py [ours|faiss]
"""

import platform
import subprocess
import sys
import time
from importlib import import_module

ROWS, DIM, CLUSTERS, ITERATIONS = 200_000, 256, 2_000, 10


def rows():
    """Unit rows around 4,000 directions, of which some have more rows than others."""
    import numpy as np

    rng = np.random.default_rng(0)
    directions = rng.standard_normal((4_000, DIM)).astype(np.float32)
    nearest = (4_000 * rng.random(ROWS) ** 2).astype(int)
    data = directions[nearest] + 0.7 * rng.standard_normal((ROWS, DIM)).astype(np.float32)
    return data / np.linalg.norm(data, axis=1, keepdims=True)


def inertia(data, centres):
    import numpy as np

    best = np.concatenate([(data[i : i + 10_000] @ centres.T).max(1) for i in range(0, ROWS, 10_000)])
    return float((1 - best).mean())


def ours(data):
    import torch

    from mlcd_train.clustering import spherical_kmeans

    clusters = spherical_kmeans(data, CLUSTERS, torch.Generator().manual_seed(0), iterations=ITERATIONS, tolerance=-1)
    return clusters.centres.numpy()


def with_faiss(data):
    import faiss

    kmeans = faiss.Kmeans(DIM, CLUSTERS, niter=ITERATIONS, spherical=True, seed=1, max_points_per_centroid=ROWS)
    kmeans.train(data)
    kmeans.index.search(data, 1)  # the assignment, which ours returns too
    return kmeans.centroids


def main():
    if len(sys.argv) == 2:
        data = rows()
        import_module({"ours": "mlcd_train.clustering", "faiss": "faiss"}[sys.argv[1]])  # not part of the time
        started = time.perf_counter()
        centres = {"ours": ours, "faiss": with_faiss}[sys.argv[1]](data)
        print(time.perf_counter() - started, inertia(data, centres))
        return
    print(
        f"{ROWS:,} x {DIM} to {CLUSTERS:,} centres, {ITERATIONS} iterations; {platform.machine()}, best of 2 runs each"
    )
    figures: dict[str, tuple[float, float]] = {}
    for side in ("ours", "faiss") * 2:
        done = subprocess.run([sys.executable, __file__, side], capture_output=True, text=True, check=True)
        seconds, value = map(float, done.stdout.split())
        figures[side] = min((seconds, value), figures.get(side, (seconds, value)))
    for side, (seconds, value) in figures.items():
        print(f"{side}: {seconds:.1f} s, inertia {value:.5f}")
    ratio = figures["ours"][0] / figures["faiss"][0]
    print(f"time ours / faiss: {ratio:.2f}; inertia ours / faiss: {figures['ours'][1] / figures['faiss'][1]:.4f}")


if __name__ == "__main__":
    main()
