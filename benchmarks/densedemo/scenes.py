"""What is where in each scene: drawn, as plain data, from the seed and the scene's number only."""

from dataclasses import dataclass

import numpy as np

from benchmarks.densedemo.shapes import CLASSES

SEED = 20
VIEWS = 3
FRAMES = 10
FOV = 35.0  # degrees, of either side
ROOM = 7.0  # from the middle to a wall
OBJECTS = {"train": 12, "val": 4, "test": 6}
"""Objects of each class, of which no two splits share one."""
TEXTURES = {"train": 60, "val": 20, "test": 30}
GROUNDS = {"train": 24, "val": 8, "test": 12}
ORDER = ("train", "test", "train", "val", "train", "train", "test")
"""The splits of seven scenes in turn, so that the first scenes are a set too."""


@dataclass(frozen=True)
class Thing:
    """label: its class, from 1. shape, texture: numbers of the object and the texture in the whole set. place: x, y.
    velocity: x, y and radians of a frame."""

    label: int
    shape: int
    texture: int
    place: tuple[float, float]
    size: float
    turn: float
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Camera:
    """origin, target: points of the scene."""

    origin: tuple[float, float, float]
    target: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """A scene seen by several cameras, or a clip, of which camera n sees frame n. sun: towards which it shines."""

    name: str
    split: str
    things: tuple[Thing, ...]
    cameras: tuple[Camera, ...]
    ground: int
    wall: int
    sun: tuple[float, float, float]

    @property
    def moves(self):
        """Whether it is a clip."""
        return self.split == "clips"


def numbers(counts, split):
    """The numbers of a split's objects or textures; clips have those of test."""
    names = list(counts)
    at = names.index("test" if split == "clips" else split)
    start = sum(counts[name] for name in names[:at])
    return range(start, start + counts[names[at]])


def scene(number):
    """The scene of a number."""
    split = ORDER[number % len(ORDER)]
    rng = np.random.default_rng([SEED, number])
    first, elevation = rng.uniform(0, 360), rng.uniform(18, 48)
    steps = np.cumsum([0, *rng.uniform(18, 38, VIEWS - 1)])
    cameras = [camera(rng, first + step, elevation + rng.uniform(-4, 4)) for step in steps]
    return make(rng, f"scene{number:03d}", split, int(rng.integers(3, 6)), cameras, still=True)


def clip(number):
    """The clip of a number: things that move and turn, and a camera that goes around them a little."""
    rng = np.random.default_rng([SEED, 1, number])
    first, elevation, distance = rng.uniform(0, 360), rng.uniform(18, 40), rng.uniform(4.8, 5.6)
    target = (*rng.uniform(-0.2, 0.2, 2), 0.35)
    step = rng.uniform(-3, 3)
    cameras = [at(first + step * frame, elevation, distance, target) for frame in range(FRAMES)]
    return make(rng, f"clip{number:02d}", "clips", int(rng.integers(2, 4)), cameras, still=False)


def camera(rng, azimuth, elevation):
    target = (*rng.uniform(-0.2, 0.2, 2), 0.35)
    return at(azimuth, elevation, rng.uniform(4.6, 5.8), target)


def at(azimuth, elevation, distance, target):
    a, e = np.deg2rad([azimuth, elevation])
    away = distance * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    return Camera(tuple(float(v) for v in away + target), tuple(float(v) for v in target))


def make(rng, name, split, count, cameras, still):
    labels = rng.permutation(len(CLASSES))[:count] + 1
    things = []
    for label in labels:
        size = rng.uniform(0.95, 1.4)
        place = rng.uniform(-1.2, 1.2, 2)
        tries = 0
        while any(np.hypot(*(place - other.place)) < 0.5 * (size + other.size) for other in things):
            place, tries = rng.uniform(-1.2, 1.2, 2), tries + 1
            size = size if tries % 20 else 0.9 * size
        velocity = (0.0, 0.0, 0.0) if still else (*rng.uniform(-0.09, 0.09, 2), rng.uniform(-0.12, 0.12))
        things.append(
            Thing(
                int(label),
                int(rng.choice(numbers(OBJECTS, split))),
                int(rng.choice(numbers(TEXTURES, split))),
                (float(place[0]), float(place[1])),
                float(size),
                float(rng.uniform(0, 2 * np.pi)),
                tuple(float(v) for v in velocity),
            )
        )
    ground, wall = (int(n) for n in rng.choice(numbers(GROUNDS, split), 2))
    sun = np.append(rng.uniform(-0.8, 0.8, 2), -1.0)
    return Scene(name, split, tuple(things), tuple(cameras), ground, wall, tuple(float(v) for v in sun))
