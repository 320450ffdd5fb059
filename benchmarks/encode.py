"""The encode: whole against its parts, decoding alone and the forward pass alone, in images a second.

python benchmarks/encode.py --model SPEC --data wds:DIR [--split train] [--workers N] [--batch-size N]

On a CPU the forward pass alone is measured in two ways: batch after batch, each by all cores, as PyTorch does by
itself; and as the encode does it. Decoding takes its time from the same cores there, so that the most that a perfect
overlap could reach is printed too.
"""

import argparse
import os
import platform
import tempfile
import time
from itertools import repeat
from pathlib import Path

import torch

from mlcd_eval import load_encoder
from mlcd_eval.data import open_dataset
from mlcd_eval.features.decode import batches
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.forward import Forward, overlapped
from mlcd_eval.features.workers import default_workers
from mlcd_eval.support.device import pick_device

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
    parser.add_argument("--batch-size", type=int)
    args = parser.parse_args()
    device = pick_device("auto")
    encoder = load_encoder(args.model).to(device)
    split = open_dataset(args.data).split(args.split)
    workers = default_workers(device) if args.workers is None else args.workers
    read = samples(split)
    forward = Forward(encoder, "fp32", args.batch_size)
    size, layers = forward.slices.batch_size, ["penultimate", "projected"]
    pixels = torch.randn(size, 3, *encoder.info.image_size)

    def call(one):
        return forward.images(one, layers)

    def decode_only():
        for _ in batches(read, encoder.preprocess, size, workers):
            pass

    def one_batch_at_a_time():
        for _ in range(len(read) // size):
            call(pixels)

    def forward_only():
        for _ in overlapped(call, repeat(pixels, len(read) // size), encoder):
            pass

    def whole():
        with tempfile.TemporaryDirectory() as folder:
            options = EncodeOptions(Path(folder), "fp32", size, workers)
            encode_split(encoder, split, layers, options)

    split.scan()  # checked and hashed once for all runs
    threads = f"{torch.get_num_threads()} threads, {workers} workers, batches of {size}"
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads}, {device}")
    print(f"{encoder.info.name} on {args.data} {args.split}: {len(read)} images; two layers kept, best of {REPEATS}")
    decoded = rate(len(read), decode_only)
    plain = rate(len(read) // size * size, one_batch_at_a_time)
    passed = rate(len(read) // size * size, forward_only)
    both = rate(len(read), whole)
    print(f"decode only {decoded:.0f} images/s")
    print(f"forward only {plain:.0f} batch after batch, {passed:.0f} as in the encode")
    print(f"end to end {both:.0f} images/s, from the files to the features on disk")
    print(f"end to end / the smaller: {both / min(decoded, plain):.2f}, {both / min(decoded, passed):.2f}")
    if device.type == "cpu":
        most = 1 / (1 / passed + 1 / decoded / torch.get_num_threads())
        print(f"decoding takes its time from the same cores, so at most {most:.0f} images/s: {both / most:.2f} of it")


if __name__ == "__main__":
    main()
