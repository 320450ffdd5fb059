"""Write the bundled choices among texts, mlcd_eval/demo_data/pairdemo.jsonl, from the scenes of refdemo.

    python benchmarks/pairdemo.py

Only objects that a scene has once are named. Of each scene with two such objects one beside the other: which is left of
which (`relation`). Scenes are paired at random, and each gives an object to the other's wrong text (`object`). So both
texts of a relation have the same words, and each object is named in as many right texts as wrong ones: what does not
see the image is at chance.
"""

from __future__ import annotations

import json
import random

from pycocotools import mask

from mlcd_eval.data.annotations import Expression
from mlcd_eval.data.open import open_dataset
from mlcd_eval.support.bundled import demo_data_dir
from mlcd_eval.support.fileio import atomic_write

SEED = 0
APART = 24
"""Pixels between the centres of two objects of which one is left of the other."""
FOLDER = "refer/images/refdemo"


def scenes() -> dict[str, dict[str, float]]:
    """Image -> the objects that it has once, each with the column of its centre."""
    dataset = open_dataset(f"refer:{demo_data_dir()}/refer/refdemo/unc")
    found: dict[str, dict[str, float]] = {}
    for split in dataset.splits:
        files = {sample.key: sample.image.name for shard in dataset.split(split).shards for sample in shard.samples()}
        for each in dataset.annotations(split):
            assert isinstance(each, Expression)
            if not each.text.startswith(("left ", "right ", "the ")) and not each.text.endswith((" left", " right")):
                columns = mask.decode(each.truth).any(axis=0).nonzero()[0]
                found.setdefault(f"{FOLDER}/{files[each.image]}", {})[each.text] = float(columns.mean())
    return {image: objects for image, objects in sorted(found.items()) if len(objects) > 1}


def items() -> list[dict[str, object]]:
    """The lines of the file."""
    known, chance = scenes(), random.Random(SEED)
    lines: list[dict[str, object]] = []
    for image, objects in known.items():
        left, right = sorted(chance.sample(sorted(objects), 2), key=objects.__getitem__)
        if objects[right] - objects[left] >= APART:
            texts = [f"{left} to the left of {right}", f"{right} to the left of {left}"]
            lines.append({"images": [image], "texts": texts, "category": "relation"})
    order = chance.sample(sorted(known), len(known))
    for pair in zip(order[::2], order[1::2], strict=False):
        if set(known[pair[0]]) & set(known[pair[1]]):
            continue
        given = [chance.sample(sorted(known[image]), 2) for image in pair]
        for image, (kept, own), (_, other) in zip(pair, given, given[::-1], strict=True):
            texts = [f"{kept} and {own}", f"{kept} and {other}"]
            lines.append({"images": [image], "texts": texts, "category": "object"})
    return lines


def main() -> None:
    with atomic_write(demo_data_dir() / "pairdemo.jsonl") as file:
        file.write("".join(json.dumps(line) + "\n" for line in items()).encode())


if __name__ == "__main__":
    main()
