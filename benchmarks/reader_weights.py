"""Train the reader of docvqa's probe, mlcd_eval/protocols/docvqa/reader.safetensors, on the ink of rendered words.

Besides Pillow's own fonts it sees those of Debian's fonts-liberation and fonts-dejavu-core, so that it reads typefaces
that the probe's pages do not have. Seeded: pages 0 to 399 of its own, none of them a page of the probe.

python -m benchmarks.reader_weights [--steps N] [--fonts FOLDER]
"""

import argparse
import math
import random
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFont
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import avg_pool2d, ctc_loss

from mlcd_eval.data.lettering import FACES, Face, line_height
from mlcd_eval.data.rendered import SIDE, drawn, layout
from mlcd_eval.protocols.docvqa.reader import STRIDE, WEIGHTS, Reader, columns, crops, spell

PAGES, CHECKED = 400, 40  # those after PAGES check it
SIDES = (224, 288, 384, 512, 672, 896)  # of the pages that it sees
LEAST_CAPITAL = 5
BATCH, LR, WARMUP, WEIGHT_DECAY = 96, 4e-3, 100, 0.01


def system_faces(folder):
    """The upright text fonts of a folder, each with the share of its size that a capital is high."""
    for path in sorted(folder.rglob("*.ttf")):
        if "Math" not in path.name and "ExtraLight" not in path.name:
            load = lru_cache(maxsize=None)(partial(ImageFont.truetype, str(path)))
            yield Face(path.stem, load, -load(200).getbbox("H", anchor="ls")[1] / 200)


def page(number, faces):
    """{side: ink (side, side) uint8}, boxes (N, 4) and capitals (N,) as shares of the side, texts."""
    placed = layout(random.Random(f"reader page {number}"), faces)
    ink = Image.fromarray(drawn(placed))
    boxes = [(word.x, word.y, word.x + word.width, word.y + line_height(word.capital)) for word in placed]
    shown = {side: np.asarray(ink.resize((side, side), Image.Resampling.BOX)) for side in SIDES}
    capitals = np.array([word.capital for word in placed]) / SIDE
    return shown, np.array(boxes) / SIDE, capitals, [word.text for word in placed]


def moved(boxes, chance):
    """Boxes as a rougher finder of words gives them."""
    height = boxes[:, 3] - boxes[:, 1]
    shift = [
        chance.uniform(low, high, len(boxes)) for low, high in ((-0.15, 0), (-0.12, 0.12), (0, 0.15), (-0.24, 0.1))
    ]
    return boxes + height[:, None] * np.stack(shift, axis=1)


def disturbed(words, generator):
    """Half of the words blurred, half with noise, as linear maps of features give them."""
    count = len(words)
    blurred = avg_pool2d(words, 3, stride=1, padding=1)
    blurred = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.5, blurred, avg_pool2d(blurred, 3, 1, 1))
    share = torch.rand(count, 1, 1, 1, generator=generator)
    share = share * (torch.rand(count, 1, 1, 1, generator=generator) < 0.5)
    noise = torch.randn(words.shape, generator=generator)
    noise = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.5, noise, 3 * avg_pool2d(noise, 3, 1, 1))
    size = 0.25 * torch.rand(count, 1, 1, 1, generator=generator)
    size = size * (torch.rand(count, 1, 1, 1, generator=generator) < 0.5)
    return (1 - share) * words + share * blurred + size * noise


def train(pages, steps):
    chance, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = Reader()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
        shown, boxes, capitals, texts = pages[chance.integers(len(pages))]
        side = int(chance.choice(SIDES))
        rows = chance.permutation(np.flatnonzero(capitals * side >= LEAST_CAPITAL))[:BATCH]
        here = torch.from_numpy(moved(boxes[rows], chance) * side).float()
        words = disturbed(crops(torch.tensor(shown[side]) / 255, here), generator)
        steps_of = -(-columns(here) // STRIDE)
        codes = [spell(texts[row]) for row in rows]
        lengths = torch.tensor([len(code) for code in codes])
        probabilities = network(words).permute(2, 0, 1).log_softmax(dim=2)
        loss = ctc_loss(probabilities, torch.tensor(list(chain(*codes))), steps_of, lengths, zero_infinity=True)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % 100 == 99:
            print(f"step {step + 1}: loss {np.mean(losses[-100:]):.3f}", flush=True)
    return network.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts/truetype"), metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    faces = [*FACES, *FACES, *system_faces(args.fonts)]
    print(f"{len(faces)} faces")
    pages = [page(number, faces) for number in range(PAGES)]
    print(f"{sum(len(texts) for *_, texts in pages)} words", flush=True)
    network = train(pages, args.steps)
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()
    }
    save_file(weights, args.output)


if __name__ == "__main__":
    main()
