"""The study's scenes: of drawings of known classes, to train on and to test by, with labels of three qualities.

Of the classes of a folder of objects (clip-benchmark's layout, pictures on white) some are the study's; others make the
scenes of the pretraining and the clutter around single objects. Everything depends on the seed only:

    train, test    1 to 4 of the train drawings in a scene; `test` has the same drawings in scenes of its own
    other          the same with the test split's drawings: another maker's, where its splits are by maker
    gallery, query one train drawing of the study's classes beside two of other classes: single objects in clutter
    pretraining    scenes of other classes, from which the trained tower comes
"""

import json
from pathlib import Path

import numpy as np
import scenes

from mlcd_eval.data.open import open_dataset
from mlcd_eval.support.fileio import write_text

QUALITIES = ("exact", "wrong_added", "half_missing")
SIZES = {"train": 2000, "test": 600, "other": 600, "gallery": 400, "query": 400, "pretraining": 4000}
SIDE = 48  # pixels of a scene
CLUTTER = 2  # objects of other classes beside a single one
PRETRAINING = 100  # classes


def make_scenes(objects, output, classes, sizes, seed=0):
    """Write all scenes of a folder of objects into `output`, unless they are there. classes: of the study, at most half
    of all."""
    done = output / "done.json"
    asked = {"objects": objects.name, "classes": classes, "sizes": sizes, "side": SIDE, "seed": seed}
    if done.is_file() and json.loads(done.read_text()) == asked:
        return
    names = (objects / "classnames.txt").read_text().splitlines()
    order = np.random.default_rng(seed).permutation(len(names)).tolist()
    own, others = set(order[:classes]), set(order[classes : classes + PRETRAINING])
    train, test = (scenes.read_objects(objects, split, own) for split in ("train", "test"))
    rest = scenes.read_objects(objects, "train", others)
    for number, (split, drawings) in enumerate({"train": train, "test": train, "other": test}.items()):
        scenes.make(split, number, drawings, names, sizes[split], SIDE, seed, output)
    scenes.make("pretraining", 3, rest, names, sizes["pretraining"], SIDE, seed, output)
    for number, split in enumerate(("gallery", "query"), start=4):
        _in_clutter(split, number, train, rest, names, sizes[split], seed, output)
    write_text(done, json.dumps(asked))


def _in_clutter(split, number_of_split, own, rest, names, count, seed, output):
    """Scenes of one object each that counts: the labels name it alone. Classes come in turn."""
    classes, others = sorted(own), sorted(rest)

    def chosen(number, rng):
        label = classes[number % len(classes)]
        clutter = rng.choice(others, size=CLUTTER, replace=False)
        return [label, *clutter], [own[label][rng.integers(len(own[label]))]] + [
            rest[c][rng.integers(len(rest[c]))] for c in clutter
        ]

    scenes.write(split, number_of_split, chosen, names, count, SIDE, seed, output, labelled=1)


def altered(labels, quality, vocabulary, rng):
    """An image's labels of a quality. `wrong_added`: as many classes that are not in the image besides its own;
    `half_missing`: each own label is lost with a chance of a half, but for one."""
    if quality == "wrong_added":
        absent = [name for name in vocabulary if name not in labels]
        return [*labels, *rng.choice(absent, size=min(len(labels), len(absent)), replace=False).tolist()]
    if quality == "half_missing":
        kept = rng.random(len(labels)) < 0.5
        kept[rng.integers(len(labels))] = True
        return [name for name, keep in zip(labels, kept, strict=True) if keep]
    return list(labels)


def write_labels(path, true, quality, one, seed):
    """Write a file of labels (`assign.labels`) for {key: labels}. one: a random one of the labels of each image, for
    objectives that take a single one. The alteration is the same for all objectives of a seed."""
    vocabulary = sorted({name for labels in true.values() for name in labels})
    rows = []
    for number, (key, labels) in enumerate(true.items()):
        rng = np.random.default_rng([seed, QUALITIES.index(quality), number])
        given = altered(labels, quality, vocabulary, rng)
        rows.append({"key": key, "labels": [given[rng.integers(len(given))]] if one else given})
    write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))


def read_labels(path):
    """{key: labels} of a file of labels."""
    return {row["key"]: row["labels"] for row in map(json.loads, Path(path).read_text().splitlines())}


def read_split(folder, split, vocabulary):
    """Pixels (N, S, S, 3) uint8, labels (N, C) of 0 and 1 by the vocabulary, and keys."""
    true = read_labels(folder / f"labels_{split}.jsonl")
    samples = list(open_dataset(f"tars:{folder / split / '0.tar'}").split("test").shards[0].samples())
    pixels = np.stack([np.asarray(scenes.decode(sample.image, sample.key)) for sample in samples])
    keys = [sample.key for sample in samples]
    return pixels, np.array([[name in true[key] for name in vocabulary] for key in keys], dtype=np.int64), keys
