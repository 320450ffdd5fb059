"""R@1/5/10 in both directions: ours against clip-benchmark's functions, on the same embeddings in separate processes.

python benchmarks/retrieval.py [SIDE IMAGES TEXTS DIM]     both sides by default, one after the other
"""

import json
import os
import platform
import subprocess
import sys
import time

KS = (1, 5, 10)
COCO = (5_000, 25_010, 512)
SQUARE = (100_000, 100_000, 512)


def embeddings(images, texts, dim):
    """Unit rows with a planted match: image (N, D), text (T, D), image_of_text (T,)."""
    import torch

    generator = torch.Generator().manual_seed(0)
    image_of_text = torch.arange(texts) % images
    image = torch.nn.functional.normalize(torch.randn(images, dim, generator=generator), dim=1)
    text = torch.randn(texts, dim, generator=generator).mul_(0.3).add_(image[image_of_text])
    return image, torch.nn.functional.normalize(text, dim=1), image_of_text


def ours(image, text, image_of_text):
    from mlcd_eval.metrics.retrieval import recall_at, retrieval_ranks

    ranks = retrieval_ranks(image, text, image_of_text)
    return [
        float(recall_at(direction, k).mean()) for direction in (ranks.text_to_image, ranks.image_to_text) for k in KS
    ]


def clip_benchmark(image, text, image_of_text):
    """clip_benchmark.metrics.zeroshot_retrieval.evaluate without the encoding, with its default batch size."""
    import torch
    from clip_benchmark.metrics.zeroshot_retrieval import batchify, recall_at_k

    scores = text @ image.t()
    positive = torch.zeros_like(scores, dtype=bool)
    positive[torch.arange(len(scores)), image_of_text] = True
    return [
        (batchify(recall_at_k, s, p, 64, "cpu", k=k) > 0).float().mean().item()
        for s, p in ((scores, positive), (scores.T, positive.T))
        for k in KS
    ]


def one_side(side, *sizes):
    import torch

    from mlcd_eval.support.peak_memory import PeakMemory

    data = embeddings(*sizes)
    memory = PeakMemory(torch.device("cpu"))
    before = memory.in_bytes()
    start = time.perf_counter()
    recalls = {"ours": ours, "clip-benchmark": clip_benchmark}[side](*data)
    seconds = time.perf_counter() - start
    peak = memory.in_bytes()
    print(json.dumps({"seconds": seconds, "before_mb": before / 2**20, "peak_mb": peak / 2**20, "recalls": recalls}))


def run(side, sizes):
    command = [sys.executable, __file__, side, *map(str, sizes)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def show(side, sizes, results):
    """Print the fastest of several runs and return it."""
    best = min(results, key=lambda result: result["seconds"])
    times = ", ".join(f"{result['seconds']:.2f}" for result in results)
    print(f"{side}, {' x '.join(f'{size:,}' for size in sizes)}: {times} s")
    print(f"  peak memory {best['peak_mb']:,.0f} MB, of which {best['before_mb']:,.0f} before the call")
    print(f"  t2i R@1/5/10, i2t R@1/5/10: {' '.join(f'{recall:.5f}' for recall in best['recalls'])}", flush=True)
    return best


def main():
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    sides = {"ours": [], "clip-benchmark": []}
    for _ in range(3):  # in turns, since a shared machine changes its speed
        for side, results in sides.items():
            results.append(run(side, COCO))
    mine, theirs = (show(side, COCO, results) for side, results in sides.items())
    assert max(abs(a - b) for a, b in zip(mine["recalls"], theirs["recalls"], strict=True)) < 1e-4
    time_ratio, memory_ratio = theirs["seconds"] / mine["seconds"], theirs["peak_mb"] / mine["peak_mb"]
    print(f"best to best: {time_ratio:.0f} x time, {memory_ratio:.1f} x memory")
    square = show("ours", SQUARE, [run("ours", SQUARE)])
    rate = SQUARE[0] * SQUARE[1] / square["seconds"]
    print(
        f"{rate / 1e6:.0f} M pairs/s: 1,000,000 x 1,000,000 would take {1e12 / rate / 3600:.1f} h here, and 4.1 GB for"
    )
    print("its embeddings; the rest is a few numbers per row and one tile, whatever the size")


if __name__ == "__main__":
    one_side(sys.argv[1], *map(int, sys.argv[2:])) if len(sys.argv) > 1 else main()
