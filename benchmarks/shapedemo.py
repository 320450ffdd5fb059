"""Write the bundled choices among texts about drawn shapes, mlcd_eval/demo_data/shapedemo.jsonl and its pictures.

    python benchmarks/shapedemo.py

Items come in pairs that have the same two texts, of which each is right of one picture and wrong of the other: what
does not see the picture is right in one of the two, whatever it knows of texts. So that this holds of baselines that
learn from other pictures too, both pictures of a pair are in the same of their parts (mlcd_eval/metrics/blind.py).
Shapes, colours, places and counts are drawn from a seed.
"""

import io
import json
import random
import shutil

import numpy as np
from PIL import Image, ImageDraw

from mlcd_eval.metrics.blind import FOLDS
from mlcd_eval.support.bundled import demo_data_dir
from mlcd_eval.support.fileio import atomic_write

SEED = 0
PAIRS = 20  # of each category
SIDE, FINE = 96, 4  # pixels of a picture's side, and how many times as large it is drawn
FOLDER, FILE = "shapedemo", "shapedemo.jsonl"
COLOURS = {
    "red": (214, 39, 40),
    "blue": (31, 90, 200),
    "green": (44, 140, 60),
    "yellow": (240, 200, 20),
    "purple": (140, 70, 180),
    "orange": (250, 120, 20),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
COUNTS = {2: "two", 3: "three", 4: "four", 5: "five"}
GREYS = (225, 255)


def outline(shape):
    """The corners of a shape within -1 to 1, y downwards."""
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    if shape == "circle":
        return np.column_stack([np.cos(turn), np.sin(turn)])
    if shape == "square":
        return np.array([[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]])
    if shape == "triangle":
        return np.array([[0, -1], [0.95, 0.75], [-0.95, 0.75]])
    if shape == "star":
        angle, radius = np.pi * (np.arange(10) / 5 - 0.5), np.where(np.arange(10) % 2, 0.42, 1.0)
        return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    if shape == "cross":
        x = [-0.3, 0.3, 0.3, 1, 1, 0.3, 0.3, -0.3, -0.3, -1, -1, -0.3]
        y = [-1, -1, -0.3, -0.3, 0.3, 0.3, 1, 1, 0.3, 0.3, -0.3, -0.3]
        return np.column_stack([x, y])
    x, y = np.sin(turn) ** 3, 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
    return np.column_stack([x, -y / 16])


def drawn(things, chance):
    """The PNG of a picture of (shape, colour, x, y, radius), in shares of its side."""
    picture = Image.new("RGB", (SIDE * FINE, SIDE * FINE), (chance.randint(*GREYS),) * 3)
    pen = ImageDraw.Draw(picture)
    for shape, colour, x, y, radius in things:
        corners = (outline(shape) * radius + (x, y)) * SIDE * FINE
        pen.polygon([tuple(corner) for corner in corners.tolist()], fill=COLOURS[colour])
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX).quantize(32)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def near(chance, x, y):
    """A place and a size near a point."""
    return x + chance.uniform(-0.06, 0.06), y + chance.uniform(-0.06, 0.06), chance.uniform(0.13, 0.18)


def two(chance):
    """The places of two things, from left to right or from above."""
    return ((0.27, 0.5), (0.73, 0.5)) if chance.random() < 0.5 else ((0.5, 0.27), (0.5, 0.73))


def called(colour, shape):
    """A thing in words."""
    return f"{'an' if colour == 'orange' else 'a'} {colour} {shape}"


def relation(chance):
    """Which is beside or above which."""
    first, second = chance.sample(SHAPES, 2)
    colours, places = [chance.choice(list(COLOURS)) for _ in range(2)], two(chance)
    word = "to the left of" if places[0][1] == places[1][1] else "above"
    named = [called(colour, shape) for shape, colour in zip((first, second), colours, strict=True)]
    pictures = []
    for order in ((0, 1), (1, 0)):
        things = [((first, second)[n], colours[n], *near(chance, *places[at])) for at, n in enumerate(order)]
        pictures.append(things)
    return [f"{named[0]} {word} {named[1]}", f"{named[1]} {word} {named[0]}"], pictures


def attribute(chance):
    """Which has which colour."""
    shapes, colours = chance.sample(SHAPES, 2), chance.sample(list(COLOURS), 2)
    texts, pictures = [], []
    for pair in (colours, colours[::-1]):
        places = chance.sample(two(chance), 2)
        things = zip(shapes, pair, places, strict=True)
        pictures.append([(shape, colour, *near(chance, *place)) for shape, colour, place in things])
        texts.append(f"{called(pair[0], shapes[0])} and {called(pair[1], shapes[1])}")
    return texts, pictures


def count(chance):
    """How many there are."""
    shape, colour = chance.choice(SHAPES), chance.choice(list(COLOURS))
    numbers = chance.sample(list(COUNTS), 2)
    cells = [((column + 0.5) / 3, (row + 0.5) / 3) for row in range(3) for column in range(3)]
    pictures = []
    for number in numbers:
        places = chance.sample(cells, number)
        pictures.append([(shape, colour, x, y, chance.uniform(0.1, 0.13)) for x, y in places])
    plural = "crosses" if shape == "cross" else f"{shape}s"
    return [f"{COUNTS[number]} {colour} {plural}" for number in numbers], pictures


def negation(chance):
    """Which is there and which is not."""
    shapes, other = chance.sample(SHAPES, 2), chance.choice(list(COLOURS))
    third = chance.choice([shape for shape in SHAPES if shape not in shapes])
    pictures = []
    for shape in shapes:
        places, colour = chance.sample(two(chance), 2), chance.choice(list(COLOURS))
        pictures.append([(shape, colour, *near(chance, *places[0])), (third, other, *near(chance, *places[1]))])
    return [f"there is a {shapes[0]} but no {shapes[1]}", f"there is a {shapes[1]} but no {shapes[0]}"], pictures


CATEGORIES = (relation, attribute, count, negation)


def items():
    """The items, and picture -> PNG. Of FOLDS pairs the first pictures, then the second ones."""
    chance = random.Random(SEED)
    pairs = [(make.__name__, *make(chance)) for make in CATEGORIES for _ in range(PAIRS)]
    chance.shuffle(pairs)
    lines, pictures = [], {}
    for begin in range(0, len(pairs), FOLDS):
        for of_pair in (0, 1):
            for category, texts, drawings in pairs[begin : begin + FOLDS]:
                name = f"{FOLDER}/{len(lines):03d}.png"
                pictures[name] = drawn(drawings[of_pair], chance)
                right_first = texts if of_pair == 0 else texts[::-1]
                lines.append({"images": [name], "texts": right_first, "category": category})
    return lines, pictures


def main():
    lines, pictures = items()
    shutil.rmtree(demo_data_dir() / FOLDER, ignore_errors=True)
    (demo_data_dir() / FOLDER).mkdir()
    for name, contents in pictures.items():
        (demo_data_dir() / name).write_bytes(contents)
    with atomic_write(demo_data_dir() / FILE) as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines).encode())


if __name__ == "__main__":
    main()
