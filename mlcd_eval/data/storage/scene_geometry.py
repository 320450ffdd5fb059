"""Where the points that one view of a scene shows are in another one: from depth and cameras, without a search.

Views are pinhole cameras; a camera's axes are x left, y up and z ahead, as benchmarks/densedemo renders them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading

NEAR = 0.005
"""How far a point's depth may be from the depth that another view has there, as a share, if it is seen there."""


@dataclass(frozen=True)
class View:
    """A camera and what it sees. inverse: 1 / depth along the camera's axis (h, w), 0 where nothing is; numbers: the
    thing that each pixel of the picture shows (H, W), 0 for none. to_scene: (4, 4). slopes: of the rays at the
    right and the lower border."""

    inverse: NDArray[np.float64]
    numbers: NDArray[np.int64]
    to_scene: NDArray[np.float64]
    slopes: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        height, width = self.numbers.shape
        return height, width

    def points(self, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the middles of pixels of the depth show, each by its row and column (N, 2), in the scene (N, 3); NaN
        where nothing is."""
        height, width = self.inverse.shape
        across, down = self.slopes
        along = across * (1 - 2 * (pixels[:, 1] + 0.5) / width)
        rays = np.stack([along, down * (1 - 2 * (pixels[:, 0] + 0.5) / height), np.ones(len(pixels))], axis=1)
        inverse = self.inverse[pixels[:, 0], pixels[:, 1]]
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = np.where(inverse > 0, 1 / inverse, np.nan)
        there: NDArray[np.float64] = (rays * ahead[:, None]) @ self.to_scene[:3, :3].T + self.to_scene[:3, 3]
        return there

    def places(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where points (N, 3) of the scene are in the image: shares of its width and height from the left top (N, 2),
        and 1 / depth (N,); NaN for a point that is not ahead of the camera."""
        seen = np.einsum("ns,sc->nc", points - self.to_scene[:3, 3], self.to_scene[:3, :3])
        ahead = np.where(seen[:, 2] > 0, seen[:, 2], np.nan)
        return (1 - seen[:, :2] / ahead[:, None] / np.array(self.slopes)) / 2, 1 / ahead

    def shows(self, places: NDArray[np.float64], inverse: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether nothing hides points (N,) at places (N, 2) with 1 / depth (N,): the depth there is theirs.

        1 / depth is linear in the image on a plane, so that it is exact between pixels.
        """
        inside = np.all((places > 0) & (places < 1), axis=1)  # False for NaN
        safe = np.where(inside[:, None], places, 0.5)
        found = bilinear(self.inverse, safe * np.array(self.inverse.shape[::-1]) - 0.5)
        with np.errstate(invalid="ignore"):
            visible: NDArray[np.bool_] = inside & (np.abs(found - inverse) <= NEAR * inverse)
        return visible

    def thing_at(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """The thing that the pixel at each place (N, 2) inside of the image shows."""
        column, row = np.floor(places * np.array(self.numbers.shape[::-1])).astype(np.int64).T
        return self.numbers[row, column]


def bilinear(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (h, w) between the middles of pixels, at (x, y) (N, 2) of which (0, 0) is the first one's middle; beyond
    the outer middles, of the outer pixels."""
    high = np.array(values.shape[::-1]) - 1
    at = np.clip(at, 0, high)
    low = np.minimum(np.floor(at).astype(np.int64), np.maximum(high - 1, 0))
    (x, y), (right, below) = low.T, np.minimum(low + 1, high).T
    across, down = (at - low).T
    upper = (1 - across) * values[y, x] + across * values[y, right]
    lower = (1 - across) * values[below, x] + across * values[below, right]
    mixed: NDArray[np.float64] = (1 - down) * upper + down * lower
    return mixed


def degrees_between(one: View, other: View) -> float:
    """The angle of the rotation from one camera to another."""
    turn = one.to_scene[:3, :3].T @ other.to_scene[:3, :3]
    return float(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))


def inverse_depth(contents: bytes, scale: float, name: str) -> NDArray[np.float64]:
    """1 / depth (h, w) from a PNG of 16 bits whose numbers are scale / depth; raises DataError."""
    return _numbers(contents, name, ("I;16", "I")) / scale


def thing_numbers(contents: bytes, name: str) -> NDArray[np.int64]:
    """The number of the thing at each pixel (H, W), from a PNG with a palette or grey; raises DataError."""
    return _numbers(contents, name, ("P", "L"))


def _numbers(contents: bytes, name: str, modes: tuple[str, ...]) -> NDArray[np.int64]:
    from PIL import Image

    with reading(f"{name} cannot be read"), Image.open(io.BytesIO(contents), formats=("PNG",)) as opened:
        if opened.mode not in modes:
            raise DataError(f"{name} has other numbers: got a picture of mode {opened.mode}, expected {modes[0]}")
        return np.asarray(opened).astype(np.int64)
