"""The encode: whole against its parts, decoding alone and the forward pass alone, in images a second.

python benchmarks/encode.py --model SPEC --data wds:DIR [--split train] [--workers N] [--batch-size 64]
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import torch

from mlcd_eval import load_encoder
from mlcd_eval.data import open_dataset
from mlcd_eval.features.decode import batches
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.forward import Forward
from mlcd_eval.run import default_workers, pick_device

REPEATS = 3


def samples(split):
    return [((0, 0), sample) for shard in split.shards for sample in shard.samples()]


def rate(count, work):
    """Images a second, best of some runs."""
    best = 0.0
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        best = max(best, count / (time.perf_counter() - started))
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()
    device = pick_device("auto")
    encoder = load_encoder(args.model).to(device)
    split = open_dataset(args.data).split(args.split)
    workers = default_workers(device) if args.workers is None else args.workers
    read = samples(split)
    pixels = torch.randn(args.batch_size, 3, *encoder.info.image_size)
    forward = Forward(encoder, "fp32", args.batch_size)

    def decode_only():
        for _ in batches(read, encoder.preprocess, args.batch_size, workers):
            pass

    def forward_only():
        for _ in range(len(read) // args.batch_size):
            forward.images(pixels, ["penultimate", "projected"])

    def whole():
        with tempfile.TemporaryDirectory() as folder:
            options = EncodeOptions(Path(folder), "fp32", args.batch_size, workers)
            encode_split(encoder, split, ["penultimate", "projected"], options)

    threads = f"{torch.get_num_threads()} threads, {workers} workers"
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads}, {device}; {len(read)} images"
    )
    decoded = rate(len(read), decode_only)
    passed = rate(len(read) // args.batch_size * args.batch_size, forward_only)
    both = rate(len(read), whole)
    print(f"decode only {decoded:.0f}, forward only {passed:.0f}, end to end {both:.0f} images/s (two layers kept)")
    if workers:
        print(f"end to end / the smaller: {both / min(decoded, passed):.2f}")
    else:
        one_after_the_other = 1 / (1 / decoded + 1 / passed)
        print(f"in one process, so one after the other: {both / one_after_the_other:.2f} of {one_after_the_other:.0f}")


if __name__ == "__main__":
    main()
