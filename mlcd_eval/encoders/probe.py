"""What an encoder computes for one fixed image and two fixed texts, rounded, as a part of its fingerprint.

Only for kinds whose adapter cannot be relied on to name all that features depend on (`python:` and kinds of other
packages): a change of activation or pooling in the code of an author, or weights inside a compiled library, shows here
and nowhere else. Kinds of known libraries go without, since their modules and configs show all of that exactly, while
outputs differ in the last bits between machines, and a remembered EncoderInfo has to hold on each that shares a cache.

One machine with one set of versions must always give the same hash. So everything is computed by one thread, whatever
OMP_NUM_THREADS says, which repeats bit for bit on a CPU; and because a GPU or a library's own threads may still sum in
another order, each output is reduced to 32 random projections, in units of its root mean square, with two digits after
the point. Noise of a millionth then turns a rounding in about 3 of 1,000 encoders, which costs one encode, while a
relative change of a thousandth is seen in 9 of 10 and one of two thousandths nearly always.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image

from mlcd_eval.encoders.base import Encoder

TEXTS = ("a photo of a cat", "Zwei Hunde & 3 Häuser, am SEE!")
PROJECTIONS = 32


def probe(encoder: Encoder) -> str:
    """sha256 over the rounded outputs; without layers there is nothing to encode."""
    if not encoder.info.layers:
        return "no layers"
    with _repeatable():
        lines = _outcome(lambda: _images(encoder))
        if encoder.info.has_text:
            lines += _outcome(lambda: {"texts": encoder.encode_texts(list(TEXTS))})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def _repeatable() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.default_generator.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)


def _images(encoder: Encoder) -> dict[str, torch.Tensor]:
    pixels = encoder.preprocess(fixed_image())[None]
    return {"pixels": pixels, **encoder.encode_images(pixels.to(encoder.device), list(encoder.info.layers))}


def _outcome(compute: Callable[[], dict[str, torch.Tensor]]) -> list[str]:
    """A line for each output. What fails here fails again where the features are needed, and is reported there."""
    try:
        return [f"{name} {_rounded(output)}" for name, output in sorted(compute().items())]
    except Exception as error:
        return [type(error).__name__]


def fixed_image() -> Image.Image:
    """72 x 96, RGB: a gradient under coarse and fine noise, by integer arithmetic alone."""
    row, column, channel = np.indices((72, 96, 3))
    coarse = _hashed(row // 12 * 1009 + column // 12 * 31 + channel) >> np.uint64(57)
    fine = _hashed(row * 100_003 + column * 307 + channel) >> np.uint64(58)
    return Image.fromarray((coarse + fine + ((row + column) // 3).astype(np.uint64)).astype(np.uint8))


def _rounded(output: torch.Tensor) -> str:
    values = output.detach().double().cpu().numpy().ravel()
    size = math.sqrt(float(np.mean(values**2)))
    if not (math.isfinite(size) and size > 0):
        return f"{tuple(output.shape)} {size}"
    bits = _hashed(np.arange(len(values)))
    scale = size * math.sqrt(len(values))
    signs = (1.0 - 2.0 * ((bits >> np.uint64(bit)) & np.uint64(1)) for bit in range(PROJECTIONS))
    projections = [f"{float(np.sum(values * sign)) / scale:.2f}" for sign in signs]
    return f"{tuple(output.shape)} {size:.2e} {' '.join(projections)}"


def _hashed(numbers: np.ndarray) -> np.ndarray:
    """64 well-mixed bits per number (the finaliser of splitmix64), the same with every version of every library."""
    bits = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
