"""Scenes of 1 to 4 objects of known classes on drawn backgrounds, with exact labels, boxes and masks.

python benchmarks/scenes.py OBJECTS OUTPUT [--classes 40] [--train 2000] [--test 500] [--size 128] [--seed 0]

OBJECTS: a folder in clip-benchmark's layout of pictures on white. Objects of its split train make the scenes of train,
those of test the scenes of test: other makers' where its splits are by maker (wds_emoji_1shot of the shared data: one
by Twemoji, one by Noto of each class), held-out pictures of the same makers elsewhere (wds_emoji_groups).

OUTPUT has for each split a tar file, labels (`assign.labels`) and boxes (`fit.objective.regions`) as JSON lines, and a
folder of masks, in which the pixels of the n-th object are n. Objects may hide others, up to half of them; boxes and
masks are of what is seen. A scene depends on the seed and its number only.
"""

import argparse
import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from mlcd_eval.data.open import open_dataset
from mlcd_eval.data.storage.images import decode
from mlcd_eval.support.fileio import write_text

MOST = 4  # objects of a scene
WHITE = 240  # of 255: what is at least as bright, and reaches the border of an object's picture, is not of the object
SIDES = (0.25, 0.6)  # of an object, as shares of the scene's side
SEEN = 0.5  # share of each object that others leave visible
TRIES = 20  # places that are tried for an object


def cut_out(picture):
    """An RGB picture on white -> the object (h, w, 3) uint8 and its mask (h, w), cropped; None if there is none."""
    pixels = np.asarray(picture.convert("RGB"))
    bright, _ = ndimage.label((pixels >= WHITE).all(axis=2))
    border = np.unique(np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]]))
    mask = ~np.isin(bright, border[border > 0])
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return pixels[part], mask[part]


def background(rng, size):
    """A gradient between two colours, with clouds: (size, size, 3) uint8."""
    first, last = rng.integers(40, 216, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:size, :size] / (size - 1) - 0.5
    share = np.clip(0.5 + rows * np.sin(angle) + columns * np.cos(angle), 0, 1)[..., None]
    clouds = ndimage.zoom(rng.normal(0, 12, (8, 8, 3)), (size / 8, size / 8, 1), order=1)
    return np.clip(first + share * (last - first) + clouds, 0, 255).astype(np.uint8)


def compose(rng, size, objects):
    """A scene (size, size, 3) of some of the objects, pairs of pixels and mask, and who is where (size, size): 0 for
    the background, n for the n-th object that was placed; and the numbers of the objects that were."""
    scene, owner, placed, whole = background(rng, size), np.zeros((size, size), np.uint8), [], []
    for number, (pixels, mask) in enumerate(objects):
        scale = rng.uniform(*SIDES) * size / max(mask.shape)
        height, width = (max(4, round(side * scale)) for side in mask.shape)
        small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
        inside = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
        for _ in range(TRIES):
            top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
            after = owner.copy()
            after[top : top + height, left : left + width][inside] = len(placed) + 1
            areas = [*whole, inside.sum()]
            if all((after == n).sum() >= SEEN * area for n, area in enumerate(areas, start=1)):
                owner = after
                scene[top : top + height, left : left + width][inside] = small[inside]
                placed.append(number)
                whole.append(inside.sum())
                break
    return scene, owner, placed


def box_of(mask):
    """[left, top, width, height] of a mask's pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(n) for n in (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)]


def read_objects(folder, split, kept):
    """Objects of a split by class; kept: the classes, None for all."""
    by_class = {}
    for shard in open_dataset(f"wds:{folder}").split(split).shards:
        for sample in shard.samples():
            if kept is None or sample.label in kept:
                cut = cut_out(decode(sample.image, sample.key))
                if cut is not None:
                    by_class.setdefault(sample.label, []).append(cut)
    return by_class


def make(split, number_of_split, objects, names, count, size, seed, output):
    """Write scenes of 1 to MOST objects, {class: drawings}, of classes drawn at random."""
    classes = sorted(objects)

    def chosen(_, rng):
        drawn = rng.choice(classes, size=min(rng.integers(1, MOST + 1), len(classes)), replace=False)
        return drawn, [objects[c][rng.integers(len(objects[c]))] for c in drawn]

    write(split, number_of_split, chosen, names, count, size, seed, output)


def write(split, number_of_split, chosen, names, count, size, seed, output, labelled=MOST):
    """Write the scenes of a split. chosen: number of a scene, generator -> classes and objects. labelled: of how many
    of a scene's first objects labels and boxes are written."""
    labels, boxes = [], []
    masks = output / "masks" / split
    masks.mkdir(parents=True, exist_ok=True)
    (output / split).mkdir(parents=True, exist_ok=True)
    unfinished = output / split / ".0.tar.tmp"
    with tarfile.open(unfinished, "w") as archive:
        for number in range(count):
            rng = np.random.default_rng([seed, number_of_split, number])
            drawn, objects = chosen(number, rng)
            scene, owner, placed = compose(rng, size, objects)
            key = f"{split}{number:06d}"
            own = [names[drawn[place]] for place in placed if place < labelled]
            regions = [{"box": box_of(owner == n), "label": name} for n, name in enumerate(own, start=1)]
            labels.append({"key": key, "labels": own})
            boxes.append({"key": key, "size": [size, size], "regions": regions})
            file = io.BytesIO()
            Image.fromarray(scene).save(file, "PNG")
            info = tarfile.TarInfo(f"{key}.png")
            info.size = file.tell()
            archive.addfile(info, io.BytesIO(file.getvalue()))
            Image.fromarray(owner).save(masks / f"{key}.png")
    unfinished.rename(output / split / "0.tar")
    for name, rows in (("labels", labels), ("boxes", boxes)):
        write_text(output / f"{name}_{split}.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objects", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--classes", type=int, help="that many, drawn at random; by default all")
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    names = (args.objects / "classnames.txt").read_text().splitlines()
    kept = None
    if args.classes is not None:
        kept = set(np.random.default_rng(args.seed).choice(len(names), args.classes, replace=False).tolist())
    for number, (split, count) in enumerate((("train", args.train), ("test", args.test))):
        objects = read_objects(args.objects, split, kept)
        make(split, number, objects, names, count, args.size, args.seed, args.output)
        total = sum(map(len, objects.values()))
        print(f"{split}: {count} scenes of {total} objects of {len(objects)} classes")


if __name__ == "__main__":
    main()
