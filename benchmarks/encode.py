"""The speed of encoding, compared with its parts, decoding and the forward pass, in images per second.

python benchmarks/encode.py --model SPEC --data wds:DIR [--split train] [--workers N] [--batch-size N]

On a CPU the forward pass alone is measured in two ways: batch after batch, each on all cores, as PyTorch does by
default; and with several batches at once, as the encoder does it. Decoding uses the same cores there, so that the speed
of a perfect overlap is printed too.
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
    """Images per second, best of REPEATS runs."""
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
    images = samples(split)
    forward = Forward(encoder, "fp32", args.batch_size)
    size, layers = forward.slices.batch_size, ["penultimate", "projected"]
    pixels = torch.randn(size, 3, *encoder.info.image_size)

    def call(batch):
        return forward.images(batch, layers)

    def decode_only():
        for _ in batches(images, encoder.preprocess, size, workers):
            pass

    def one_batch_at_a_time():
        for _ in range(len(images) // size):
            call(pixels)

    def forward_only():
        for _ in overlapped(call, repeat(pixels, len(images) // size), encoder):
            pass

    def end_to_end():
        with tempfile.TemporaryDirectory() as folder:
            options = EncodeOptions(Path(folder), "fp32", size, workers)
            encode_split(encoder, split, layers, options)

    split.scan()  # so that it is checked and hashed once for all runs
    threads = f"{torch.get_num_threads()} threads, {workers} workers, batches of {size}"
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads}, {device}")
    print(f"{encoder.info.name} on {args.data} {args.split}: {len(images)} images, two layers, best of {REPEATS}")
    decode = rate(len(images), decode_only)
    plain = rate(len(images) // size * size, one_batch_at_a_time)
    overlap = rate(len(images) // size * size, forward_only)
    total = rate(len(images), end_to_end)
    print(f"decoding only {decode:.0f} images/s")
    print(f"forward pass only {plain:.0f} images/s batch after batch, {overlap:.0f} with several batches at once")
    print(f"end to end {total:.0f} images/s, from files to features on disk")
    print(f"end to end / the slower part: {total / min(decode, plain):.2f}, {total / min(decode, overlap):.2f}")
    if device.type == "cpu":
        most = 1 / (1 / overlap + 1 / decode / torch.get_num_threads())
        print(f"decoding uses the same cores, so at most {most:.0f} images/s are possible: {total / most:.2f} of that")


if __name__ == "__main__":
    main()
