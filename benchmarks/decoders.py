"""The speed of `--decoder` pil, torch and torchcodec on one core, and how their pixels differ.

python benchmarks/decoders.py
    CPU time per JPEG of 500 x 375 from the file's bytes to 224 pixels, 8 bits: the work of a worker process of a GPU
    run. The decoders take turns, and the best of several rounds counts.
"""

import os
import platform
import time

import torch
from photos import jpegs

from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.stages import split_preprocess
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.features.decoders import with_decoder

DECODERS, ROUNDS, COUNT = ("pil", "torch", "torchcodec"), 15, 32


class Bare(Encoder):
    """A checkpoint's preprocessing without a model."""

    device = torch.device("cpu")

    def __init__(self):
        self.preprocess = Preprocess(image_size=224)
        self.info = EncoderInfo("bare", "bare", "0" * 64, "none", {"penultimate": 1}, (224, 224), 0, False)

    def encode_images(self, pixels, layers):
        raise NotImplementedError


def main():
    torch.set_num_threads(1)
    files = jpegs(COUNT)
    encoders = {name: with_decoder(Bare(), name) for name in DECODERS}
    prepared = {name: split_preprocess(encoder.preprocess) for name, encoder in encoders.items()}

    def pixels(name):
        images = (decode(file, "photo", encoders[name].jpeg) for file in files)
        return torch.stack([prepared[name].prepare(image) for image in images])

    seconds, results = dict.fromkeys(DECODERS, float("inf")), {}
    for _ in range(ROUNDS):
        for name in DECODERS:
            started = time.process_time()
            results[name] = pixels(name)
            seconds[name] = min(seconds[name], time.process_time() - started)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one used, torch {torch.__version__}")
    for name in DECODERS:
        step = (results[name].int() - results["pil"].int()).abs()
        print(
            f"{name}: {COUNT / seconds[name]:.0f} images/s, {seconds['pil'] / seconds[name]:.2f} times pil; "
            f"{100 * (step > 0).float().mean():.2f}% of values differ from pil's, by at most {step.max()} of 255"
        )
    print(f"torch and torchcodec: pixels {'equal' if results['torch'].equal(results['torchcodec']) else 'differ'}")


if __name__ == "__main__":
    main()
