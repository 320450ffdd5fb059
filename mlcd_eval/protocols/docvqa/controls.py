"""Controls of the reading probe: pixels, in which text is legible from a known size on, and noise made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from mlcd_eval.data import rendered
from mlcd_eval.data.annotations import Word
from mlcd_eval.protocols.base import Control
from mlcd_eval.protocols.docvqa import legibility
from mlcd_eval.protocols.docvqa.reading_probe import Patches, measure_reading
from mlcd_eval.support.progress import Advance

SIDES = (448, 896)  # of the images whose pixels are the features
PATCH = 32
PAGES = 80  # of the rendered ones, the first
LEGIBLE_HEIGHT = 12  # pixels: letters at least as high must be read
LEAST, MOST = 0.9, 0.02  # of their words that are read: in pixels, and in noise
NOISE_WIDTH = 256


def reading_controls(words: Sequence[Word], seed: int, advance: Advance = lambda _: None) -> list[Control]:
    """Return the shares of words of legible letters that are read in pixels, and in random projections of the pixels of
    shuffled patches. advance: called with the pages read."""
    pages = [rendered.key_of(number) for number in range(PAGES)]
    masks = {page: rendered.ink(page) for page in pages}
    grey = {page: rendered.coloured(number, mask).convert("L") for number, (page, mask) in enumerate(masks.items())}

    def pixels(side: int) -> Patches:
        def patches(page: str) -> Tensor:
            shown = np.array(grey[page].resize((side, side), Image.Resampling.BICUBIC))
            return pixel_unshuffle(torch.from_numpy(shown)[None] / 255, PATCH).permute(1, 2, 0)

        return patches

    def control(name: str, patches: Patches, side: int, positive: bool) -> Control:
        reading = measure_reading(patches, pages, words, side, masks.__getitem__, advance)
        accuracy, count = legibility.word_accuracy(reading.curve, LEGIBLE_HEIGHT)
        assert accuracy is not None, "the pages have large letters"
        metric = f"word accuracy from {LEGIBLE_HEIGHT} pixels on"
        return Control(name, positive, metric, accuracy, count, LEAST if positive else MOST, reading.curve)

    return [
        *(control(f"pixels at {side}", pixels(side), side, positive=True) for side in SIDES),
        control("random projections of shuffled patches", _noise(pixels(SIDES[0]), pages, seed), SIDES[0], False),
    ]


def _noise(patches: Patches, pages: Sequence[str], seed: int) -> Patches:
    """The patches of all pages in a random order, projected at random."""
    chance = torch.Generator().manual_seed(seed)
    projection = torch.randn(PATCH**2, NOISE_WIDTH, generator=chance)
    every = torch.stack([patches(page) @ projection for page in pages])
    shuffled = every.flatten(0, 2)[torch.randperm(every[..., 0].numel(), generator=chance)].view_as(every)
    return dict(zip(pages, shuffled, strict=True)).__getitem__
