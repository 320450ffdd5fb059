"""Reads words from ink: a small convolutional network with connectionist temporal classification (Graves et al. 2006).

It is the same for all encoders, so that they are told apart by what their patches hold and not by how well a reader was
trained. Its weights are in reader.safetensors: trained once by benchmarks/reader_weights.py on the ink of rendered
words in many typefaces, of capitals from 5 to 160 pixels, blurred and with noise. It knows lower case only, as ANLS
does not tell case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample

HEIGHT = 20  # rows to which a word's box is scaled
STRIDE = 2  # columns for each step of the network
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:;?!-'/&#+@$%()"
WEIGHTS = Path(__file__).with_name("reader.safetensors")
BATCH = 64
BLANK = 0


class Reader(nn.Module):
    """Words (B, 1, HEIGHT, W) -> logits (B, 1 + characters, T) with T = ceil(W / STRIDE); the first is the blank."""

    def __init__(self) -> None:
        super().__init__()
        rows = math.ceil(math.ceil(HEIGHT / 2) / 2)
        self.layers = nn.Sequential(
            *_block(1, 16, 5, stride=2, padding=2),
            *_block(16, 32, 3, stride=(2, 1), padding=1),
            *_block(32, 96, (rows, 5), padding=(0, 2)),
            *_block(96, 96, (1, 3), padding=(0, 1)),
            nn.Conv2d(96, 1 + len(CHARACTERS), 1),
        )

    def forward(self, words: Tensor) -> Tensor:
        """Return the logits of each step."""
        return self.layers(words)[:, :, 0]


def _block(
    channels_in: int, channels: int, kernel: int | tuple[int, int], **options: int | tuple[int, int]
) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels, kernel, **options), nn.BatchNorm2d(channels), nn.ReLU()]  # type: ignore[arg-type]


def spell(text: str) -> list[int]:
    """Return the codes of a text's characters, without those that the reader does not know."""
    return [1 + CHARACTERS.index(letter) for letter in text.lower() if letter in CHARACTERS]


def unspell(codes: Sequence[int]) -> str:
    """Return the text of the best code of each step: repetitions count once, blanks not at all."""
    kept = [code for place, code in enumerate(codes) if code != BLANK and (place == 0 or code != codes[place - 1])]
    return "".join(CHARACTERS[code - 1] for code in kept)


def columns(boxes: Tensor) -> Tensor:
    """Return how many columns wide each box (N, 4) is when it is HEIGHT rows high, (N,) int64."""
    return (HEIGHT * (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])).ceil().long() + STRIDE


def crops(field: Tensor, boxes: Tensor) -> Tensor:
    """Return the words in boxes (N, 4: left, top, right, bottom, in cells) of ink (h, w), (N, 1, HEIGHT, W), each
    scaled to the range [0, 1]. Large ones are averaged over cells first, by powers of two."""
    wide = columns(boxes)
    words = field.new_zeros(len(boxes), 1, HEIGHT, int(wide.max()))
    places, rows = (torch.arange(count, device=field.device) for count in (words.shape[-1], HEIGHT))
    levels = ((boxes[:, 3] - boxes[:, 1]) / HEIGHT).log2().floor().clamp(0, 4).long()
    for level in levels.unique().tolist():
        chosen = levels == level
        coarse = avg_pool2d(field[None, None], 2**level)
        box = boxes[chosen] / 2**level
        step = (box[:, 3:] - box[:, 1:2]) / HEIGHT
        x = (box[:, :1] + step * (places + 0.5)) * 2 / coarse.shape[3] - 1
        y = (box[:, 1:2] + step * (rows + 0.5)) * 2 / coarse.shape[2] - 1
        grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
        words[chosen] = grid_sample(coarse.expand(len(box), -1, -1, -1), grid, align_corners=False)
    inside = (places < wide[:, None])[:, None, None, :]
    least = words.where(inside, torch.inf).amin(dim=(2, 3), keepdim=True)
    most = words.where(inside, -torch.inf).amax(dim=(2, 3), keepdim=True)
    return ((words - least) / (most - least).clamp_min(1e-6)).where(inside, 0)


@lru_cache(maxsize=1)
def reader() -> Reader:
    """Return the reader with its weights, on the CPU."""
    from safetensors.torch import load_file

    network = Reader()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()})
    return network.eval()


@torch.inference_mode()
def read(field: Tensor, boxes: Tensor) -> list[str]:
    """Return the words in boxes (N, 4), in cells, of ink (h, w)."""
    if len(boxes) == 0:
        return []
    network, wide = reader().to(field.device), columns(boxes)
    order = wide.argsort()
    texts = [""] * len(boxes)
    for part in order.split(BATCH):
        best = network(crops(field, boxes[part])).argmax(dim=1)
        for row, steps in zip(part.tolist(), best.tolist(), strict=True):
            texts[row] = unspell(steps[: -(-int(wide[row]) // STRIDE)])
    return texts
