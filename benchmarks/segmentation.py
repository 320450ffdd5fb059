"""Intersection and union of 10,000 pairs of masks of 640 x 480: run-length codes against decoding both masks in numpy.

python benchmarks/segmentation.py [SIDE PAIRS]     both sides by default, each in a separate process
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from mlcd_eval.metrics.segmentation import encode, overlaps

HEIGHT, WIDTH = 480, 640
PAIRS = 10_000
REPEATS = 3


def pairs(count):
    """Predictions and truths as RLE: blobs with wavy edges, islands and holes; every other truth is a polygon."""
    rng = np.random.default_rng(0)
    predictions, truths = [], []
    for row in range(count):
        centre, radii = rng.uniform((80, 100), (400, 540)), rng.uniform(25, 150, size=2)
        truths.append(polygon(rng, centre, radii) if row % 2 else blob(rng, centre, radii))
        predictions.append(blob(rng, centre + rng.normal(0, 0.2, 2) * radii, radii * rng.uniform(0.7, 1.3, 2)))
    return predictions, truths


def blob(rng, centre, radii):
    """Scores on a grid of 60 x 80, like a model's, resized to the image and cut at 0."""
    rows, columns = np.ogrid[4:HEIGHT:8, 4:WIDTH:8]
    distance = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2
    scores = Image.fromarray((1 - distance + rng.normal(0, 0.2, distance.shape)).astype(np.float32))
    return encode(np.asarray(scores.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)) > 0)


def polygon(rng, centre, radii):
    """A polygon of 20 to 60 corners around the centre, as annotators draw them."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(20, 61)))
    reach = rng.uniform(0.7, 1.2, len(angles))
    x = np.clip(centre[1] + radii[1] * reach * np.cos(angles), 0, WIDTH)
    y = np.clip(centre[0] + radii[0] * reach * np.sin(angles), 0, HEIGHT)
    [rle] = coco.frPyObjects([np.stack([x, y], axis=1).ravel().tolist()], HEIGHT, WIDTH)
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def by_decoding(predictions, truths):
    """Intersections (N,) and unions (N,) of the decoded masks."""
    both, either = np.zeros(len(truths), np.int64), np.zeros(len(truths), np.int64)
    for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        a, b = coco.decode(prediction), coco.decode(truth)
        both[row], either[row] = (a & b).sum(), (a | b).sum()
    return both, either


SIDES = {"ours": overlaps, "decoding": by_decoding}


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_side(side, count):
    data = pairs(count)
    before = peak_mb()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        both, either = SIDES[side](*data)
        seconds.append(time.perf_counter() - start)
    sums = [both.tolist(), either.tolist()]
    print(json.dumps({"seconds": seconds, "before_mb": before, "peak_mb": peak_mb(), "sums": sums}))


def run(side, count):
    command = [sys.executable, __file__, side, str(count)]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    times = ", ".join(f"{seconds:.2f}" for seconds in result["seconds"])
    print(f"{side}, {count:,} pairs of {WIDTH} x {HEIGHT}: {times} s")
    added = result["peak_mb"] - result["before_mb"]
    print(f"  peak memory {result['peak_mb']:,.0f} MB, {added:,.1f} MB more than before the call", flush=True)
    return result


def main():
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    print(f"{platform.machine()}, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}, numpy {np.__version__}")
    mine, theirs = (run(side, PAIRS) for side in SIDES)
    assert mine["sums"] == theirs["sums"], "the two sides count the same pixels"
    both, either = (sum(counts) for counts in mine["sums"])
    print(f"same {PAIRS:,} intersections and unions on both sides; overall IoU {both / either:.4f}")
    print(f"best to best: {min(theirs['seconds']) / min(mine['seconds']):.1f} x faster")


if __name__ == "__main__":
    one_side(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main()
