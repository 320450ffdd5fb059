"""1,000 queries in a gallery of 1,000,000 x 512 that is read from a file: the ranks of what they look for, the nearest
100, and the same against numpy on a small part of it.

python benchmarks/instance_retrieval.py [FOLDER]     2 GB of disk for the gallery, in a temporary folder by default
python benchmarks/instance_retrieval.py cuda [FOLDER]     the same on a GPU
"""

import os
import platform
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

GALLERY, QUERIES, DIM, POSITIVES, NEAREST = 1_000_000, 1_000, 512, 50, 100
PART = 10_000
SMALL = 20_000


def made(folder):
    """Queries (Q, D), a memory-mapped gallery (G, D) whose rows 50 q to 50 q + 49 lie near query q, those links."""
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((QUERIES, DIM), dtype=np.float32)
    path = Path(folder) / "gallery.npy"
    gallery = np.lib.format.open_memmap(path, "w+", np.float32, (GALLERY, DIM))
    for begin in range(0, GALLERY, PART):
        part = rng.standard_normal((PART, DIM), dtype=np.float32)
        near = np.arange(begin, begin + PART) // POSITIVES
        part[near < QUERIES] += 0.2 * queries[near[near < QUERIES]]
        gallery[begin : begin + PART] = part
    gallery.flush()
    links = np.repeat(np.arange(QUERIES), POSITIVES), np.arange(QUERIES * POSITIVES)
    return queries, np.load(path, mmap_mode="r"), links


class OwnMemory:
    """The most memory of this process that no file backs, in MB, sampled ten times a second."""

    def __enter__(self):
        self.before = self.most = self._now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._stop.wait(0.1):
            self.most = max(self.most, self._now())

    @staticmethod
    def _now():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def measured(what, function):
    with OwnMemory() as memory:
        wall, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        value = function()
        wall, now = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    user, system = now.ru_utime - used.ru_utime, now.ru_stime - used.ru_stime
    print(
        f"{what}: {wall:.1f} s, {user + system:.1f} s of processors ({user:.1f} + {system:.1f}); "
        f"{memory.most:,.0f} MB of its own at most, {memory.before:,.0f} before",
        flush=True,
    )
    return value


def ranked(queries, gallery, links, device):
    from mlcd_eval.metrics.search import Links, compare, ranks
    from mlcd_eval.protocols.shared.unit import unit
    from mlcd_eval.support.resident import Rows

    known = compare(Rows(queries, device, unit), Rows(gallery, device, unit), Links(*links))
    every = np.ones(len(links[0]), bool)
    return ranks(known, every, ~every)


def near(queries, gallery, device):
    from mlcd_eval.protocols.classification.knn import nearest

    return nearest(gallery, queries, NEAREST, device)[1]


def checked(queries, gallery, device):
    """Raise unless both are what numpy sorts on the first rows."""
    links = np.repeat(np.arange(20), POSITIVES), np.arange(20 * POSITIVES)
    queries, gallery = queries[:20], np.asarray(gallery[:SMALL])
    unit = [rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery)]
    similarity = unit[0] @ unit[1].T
    order = np.argsort(-similarity, axis=1)
    places = np.argsort(order, axis=1)[links] + 1
    assert (ranked(queries, gallery, links, device) == np.sort(places.reshape(20, -1), axis=1).ravel()).all()
    found, best = (np.take_along_axis(similarity, rows, 1) for rows in (near(queries, gallery, device), order))
    assert np.abs(found - best[:, :NEAREST]).max() < 1e-6, "beyond what float32 cannot tell apart"


def main():
    arguments = sys.argv[1:]
    device = "cuda" if arguments[:1] == ["cuda"] else "cpu"
    folder = (arguments[1:] if device == "cuda" else arguments) or [None]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {device}")
    print(f"{QUERIES:,} queries of {POSITIVES} positives, {GALLERY:,} x {DIM} in float32", flush=True)
    with tempfile.TemporaryDirectory(dir=folder[0]) as place:
        queries, gallery, links = made(place)
        checked(queries, gallery, device)
        places = measured("ranks of all positives", lambda: ranked(queries, gallery, links, device))
        rows = measured(f"nearest {NEAREST}", lambda: near(queries, gallery, device))
        hits = (rows // POSITIVES == np.arange(QUERIES)[:, None]).sum()
        assert abs(int((places <= NEAREST).sum()) - int(hits)) <= QUERIES // 100, "the two agree but for rounding"
        print(f"{hits:,} of {QUERIES * NEAREST:,} are positives, by both")


if __name__ == "__main__":
    main()
