"""What tests of protocols hand over, and how they read scores."""

from dataclasses import replace

import numpy as np
from PIL import Image

from mlcd_eval.data.annotations import ClassMap, PixelValues, Region
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.protocols.base import Features, Inputs


def rng(seed=0):
    return np.random.default_rng(seed)


def of_rows(inputs, rows):
    """The inputs if only a slice of the images of the role test could be read."""
    features = inputs.images["test"]
    read = features.keys[rows]
    test = Features(features.array[rows], read, bad=[key for key in features.keys if key not in read])
    return replace(inputs, images={"test": test})


def features(array, labels=None, texts=(), bad=()):
    """Features whose keys are im0, im1, ..."""
    keys = [f"im{row}" for row in range(len(array))]
    return Features(np.asarray(array, np.float32), keys, None if labels is None else np.asarray(labels), texts, bad)


def mixture(seed=0, sizes=(160, 80), d=8, c=5):
    """A labelled split of each size, all from one mixture of c classes."""
    r = rng(seed)
    centres = r.normal(size=(c, d))
    for n in sizes:
        labels = r.integers(c, size=n)
        yield features(centres[labels] + r.normal(size=(n, d)), labels)


def text_encoder(vectors):
    """`Inputs.encode_texts` by a table, text -> vector, or by a function."""
    vector_of = vectors if callable(vectors) else vectors.__getitem__
    return lambda texts: np.array([vector_of(text) for text in texts], dtype=np.float32)


def values(scores):
    """Metric -> value."""
    return {metric.name: metric.value for metric in scores.metrics}


CLASSES_OF_PIXELS = 3


def grey(classes):
    """A picture of which the colours say nothing."""
    return Image.new("RGB", classes.shape[::-1], (128, 128, 128))


def class_maps(count, seed, size=(24, 32), grid=(4, 4), noise=0.5, drawn=grey, units=1):
    """Images of cells of 8 x 8 pixels with a class each, some unlabelled pixels, and patches that hold their cell's."""
    chance = np.random.default_rng(seed)
    array = chance.normal(0, noise, (count, *grid, 6)).astype(np.float32)
    maps = []
    for number in range(count):
        cells = chance.integers(0, CLASSES_OF_PIXELS, (size[0] // 8, size[1] // 8))
        classes = np.kron(cells, np.ones((8, 8))).astype(np.int16)
        array[number, : cells.shape[0], : cells.shape[1], :CLASSES_OF_PIXELS] += np.eye(CLASSES_OF_PIXELS)[cells]
        classes[chance.random(size) < 0.1] = -1
        key = f"{seed}_{number}"
        pixels, shown = (lambda classes=classes: classes), (lambda classes=classes: drawn(classes))
        maps.append(ClassMap(key, size, key, f"{seed}_{number // units}", pixels, shown))
    return Features(array, [each.image for each in maps]), maps


def segmented(with_val=False, **options):
    """Inputs of 40 train images, 12 of val if asked for, and 12 of test."""
    counts = {"train": (40, 0), **({"val": (12, 1)} if with_val else {}), "test": (12, 2)}
    made = {role: class_maps(*count, **options) for role, count in counts.items()}
    return Inputs(
        {role: features for role, (features, _) in made.items()},
        class_names=["floor", "wall", "door"],
        annotations={role: maps for role, (_, maps) in made.items()},
    )


def named_directions(texts):
    """Of texts about floors, walls and doors, whose patches `class_maps` draws: one-hot and a few letters."""
    vectors = np.zeros((len(texts), 6), np.float32)
    for row, text in enumerate(texts):
        for number, names in enumerate((("floor", "background"), ("wall",), ("door",))):
            vectors[row, number] = any(name in text for name in names)
        vectors[row, 3:] = [0.1 * text.count(letter) for letter in "aio"]
    return vectors


def prompted_segments(names=("floor", "wall", "door"), **options):
    """`segmented` with prompts of its classes."""
    given = segmented(**{"noise": 0.4, **options})
    prompts = ["a photo of a {c}.", "{c}"]
    return replace(given, class_names=list(names), templates=prompts, encode_texts=named_directions)


def pixel_values(quantity, count, seed, size=(24, 32), grid=(4, 4), noise=0.2, units=1):
    """Images of cells of 8 x 8 pixels with a depth or a normal each, some unknown pixels, and patches that hold theirs,
    of depth its logarithm."""
    chance = np.random.default_rng(seed)
    array = chance.normal(0, noise, (count, *grid, 6)).astype(np.float32)
    rows = []
    for number in range(count):
        cells = chance.normal(size=(size[0] // 8, size[1] // 8, 3 if quantity == "normals" else 1))
        if quantity == "normals":
            cells /= np.linalg.norm(cells, axis=2, keepdims=True)
        array[number, : cells.shape[0], : cells.shape[1], : cells.shape[2]] += cells
        values = (cells if quantity == "normals" else 3 * np.exp(0.5 * cells)).repeat(8, axis=0).repeat(8, axis=1)
        values[chance.random(size) < 0.1] = np.nan
        known, key = int(np.isfinite(values[..., 0]).sum()), f"{seed}_{number}"
        read, shown = (lambda values=values: values.astype(np.float32)), (lambda: grey(np.zeros(size)))
        rows.append(PixelValues(key, size, key, known, f"{seed}_{number // units}", read, shown))
    return Features(array, [each.image for each in rows]), rows


def measured(quantity, with_val=False, **options):
    """Inputs of 40 train images, 12 of val if asked for, and 12 of test."""
    counts = {"train": (40, 0), **({"val": (12, 1)} if with_val else {}), "test": (12, 2)}
    made = {role: pixel_values(quantity, *count, **options) for role, count in counts.items()}
    return Inputs(
        {role: features for role, (features, _) in made.items()},
        annotations={role: rows for role, (_, rows) in made.items()},
    )


def colourless():
    return Image.new("RGB", (32, 24), (128, 128, 128))


def regions(count, seed, noise=0.4, picture=colourless, units=1, masks=True):
    """Images of 24 x 32 pixels with two parts of a class each, and patches of 8 x 8 pixels that hold them."""
    chance = np.random.default_rng(seed)
    array = chance.normal(0, noise, (count, 4, 4, 6)).astype(np.float32)
    parts = []
    for number in range(count):
        for place in range(2):
            left, top = int(chance.integers(0, 10)) + 14 * place, int(chance.integers(0, 12))
            right, bottom = left + int(chance.integers(5, 9)), top + int(chance.integers(6, 12))
            label = int(chance.integers(CLASSES_OF_PIXELS))
            mask = np.zeros((24, 32), bool)
            mask[top:bottom, left:right] = True
            mask[top, left] = False
            array[number, top // 8 : -(-bottom // 8), left // 8 : -(-right // 8), label] += 1
            parts.append(
                Region(
                    image=f"{seed}_{number}",
                    region_id=f"{seed}_{number}/{place}",
                    label=label,
                    size=(24, 32),
                    box=(left, top, right, bottom),
                    area=float(chance.choice([100, 5000, 10_000])),
                    truth=encode(mask) if masks else None,
                    thing=f"{seed}_{number // 3}/{place}",
                    unit=f"{seed}_{number // units}",
                    picture=picture,
                )
            )
    return Features(array, [f"{seed}_{number}" for number in range(count)]), parts


def parted(with_val=False, **options):
    """Inputs of 40 train images, 12 of val if asked for, and 12 of test, with two regions each."""
    counts = {"train": (40, 0), **({"val": (12, 1)} if with_val else {}), "test": (12, 2)}
    made = {role: regions(*count, **options) for role, count in counts.items()}
    return Inputs(
        {role: features for role, (features, _) in made.items()},
        text_encoder(lambda text: np.eye(6)[["floor", "wall", "door"].index(text.split()[-1])]),
        ["floor", "wall", "door"],
        ["a {c}", "the {c}"],
        "made up",
        annotations={role: parts for role, (_, parts) in made.items()},
    )
