"""What encoding costs beside the model.

python benchmarks/encode.py
    The main process's CPU time per image with worker processes and a model that costs nothing, on JPEGs of 500 x 375.
    CPU time hardly depends on what else the machine does. The target is at most 60 us per image in a pass over 50,000
    images, ImageNet's validation set: what a pass costs whatever its length (processes, the ring) is shared by them.

python benchmarks/encode.py --model SPEC --data wds:DIR [--split train] [--workers N] [--batch-size N]
    The speed of encoding in images per second, compared with its parts, decoding and the forward pass. On a CPU the
    forward pass alone is measured in two ways: batch after batch, each on all cores, as PyTorch does by default; and
    with several batches at once, as the encoder does it. Decoding uses the same cores there, so that the speed of a
    perfect overlap is printed too.
"""

import argparse
import os
import platform
import tempfile
import time
from itertools import repeat
from pathlib import Path

import torch
from photos import write_dataset

from mlcd_eval import load_encoder
from mlcd_eval.data import open_dataset
from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.stages import stages
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.features.decode import batches
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.forward import Forward
from mlcd_eval.features.overlap import Overlap
from mlcd_eval.features.workers import default_workers
from mlcd_eval.support.device import pick_device

REPEATS = 3
TARGET, PASS = 60e-6, 50_000  # seconds per image, in a pass over ImageNet's validation images


class FreeEncoder(Encoder):
    """Returns a pixel, repeated: no arithmetic, and the memory of the batch is hardly read."""

    device = torch.device("cpu")
    reentrant = True

    def __init__(self):
        self.preprocess = Preprocess(image_size=224)
        self.info = EncoderInfo("free", "free", "0" * 64, "none", {"penultimate": 512}, (224, 224), 0, False)

    def encode_images(self, pixels, layers):
        return {layer: pixels[:, 0, 0, :1].expand(-1, self.info.layers[layer]) for layer in layers}


def main_process(images, workers):
    """Print the CPU time of this process per image: of a whole pass, and of what grows with the images."""
    torch.set_num_threads(1)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {workers} workers, cpu, JPEGs, 224 px"
    )
    within = True
    for batch_size in (32, 256):
        few, many = (pass_of_main_process(count, batch_size, workers) for count in (images // 4, images))
        slope = (many - few) / (images - images // 4)
        once = few - slope * (images // 4)
        within &= slope + once / PASS <= TARGET
        print(
            f"main process, batches of {batch_size}: {1e6 * many / images:.0f} us per image over {images:,} images; "
            f"{1e6 * slope:.0f} us per image and {1e3 * once:.0f} ms per pass, so {1e6 * (slope + once / PASS):.0f} us "
            f"per image over {PASS:,}"
        )
    print(f"target: at most {1e6 * TARGET:.0f} us per image over {PASS:,}: {'met' if within else 'not met'}")
    return 0 if within else 1


def pass_of_main_process(images, batch_size, workers):
    """Seconds of this process, the least of REPEATS passes."""
    least = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), images)
        split = open_dataset(f"wds:{folder}").split("test")
        split.scan()
        for number in range(REPEATS):
            started = time.process_time()
            options = EncodeOptions(Path(folder) / f"cache{number}", "fp32", batch_size, workers)
            encode_split(FreeEncoder(), split, ["penultimate"], options)
            least = min(least, time.process_time() - started)
    return least


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


def parts(args):
    """Print the speed of encoding a data set, and of decoding and the forward pass alone."""
    device = pick_device("auto")
    encoder = load_encoder(args.model).to(device)
    split = open_dataset(args.data).split(args.split)
    workers = default_workers(device) if args.workers is None else args.workers
    images = samples(split)
    prepared = stages(encoder)
    forward = Forward(encoder, "fp32", args.batch_size, prepared)
    overlap = Overlap(encoder)
    size, layers = forward.slices.batch_size, ["penultimate", "projected"]
    pixels = torch.zeros(size, *prepared.shape, dtype=prepared.dtype)

    def call(batch):
        return forward.images(batch, layers)

    def decode_only():
        for _ in batches(images, prepared, size, workers):
            pass

    def one_batch_at_a_time():
        for _ in range(len(images) // size):
            call(pixels).arrays()

    def forward_only():
        for _ in overlap(call, repeat(pixels, len(images) // size)):
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
    at_once = rate(len(images) // size * size, forward_only)
    total = rate(len(images), end_to_end)
    print(f"decoding only {decode:.0f} images/s")
    print(f"forward pass only {plain:.0f} images/s batch after batch, {at_once:.0f} with several batches at once")
    print(f"end to end {total:.0f} images/s, from files to features on disk")
    print(f"end to end / the slower part: {total / min(decode, plain):.2f}, {total / min(decode, at_once):.2f}")
    if device.type == "cpu":
        most = 1 / (1 / at_once + 1 / decode / torch.get_num_threads())
        print(f"decoding uses the same cores, so at most {most:.0f} images/s are possible: {total / most:.2f} of that")
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--data")
    parser.add_argument("--split", default="train")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--images", type=int, default=4096, help="without --model: images of the longer pass")
    args = parser.parse_args()
    if (args.model is None) != (args.data is None):
        parser.error("expected --model and --data, or neither")
    return parts(args) if args.model else main_process(args.images, args.workers or 2)


if __name__ == "__main__":
    raise SystemExit(main())
