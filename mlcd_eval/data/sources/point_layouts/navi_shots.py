"""An image of NAVI: where its camera was, and the depth of its object (OBJECT/SCENE/annotations.json and depth)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, FiniteFloat

from mlcd_eval.data.storage.images import decode, file_contents, orientation, size_of
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.data.storage.scene_geometry import View, inverse_depth
from mlcd_eval.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

DISPARITY = 655_350.0
"""A number in a file of depth is this over the depth in millimetres; it is 0 where the object is not seen."""
_SIDEWAYS = 5  # EXIF orientations from here on exchange rows and columns


class _Camera(BaseModel):
    """q: quaternion w, x, y, z, and t: translation in millimetres, from the object to the camera, whose axes are x
    right, y down and z ahead. focal_length: in pixels."""

    q: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    t: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    focal_length: FiniteFloat = Field(gt=0)


class _Annotated(BaseModel):
    """What is read of an image's entry. image_size: height and width, upright."""

    filename: str
    image_size: tuple[int, int]
    camera: _Camera


@dataclass(frozen=True)
class Shot:
    """key: of the image's sample. size: (height, width), upright. is_turned: whether its file is not upright. q, t,
    focal_length: as in _Camera."""

    key: str
    image: Path
    depth: Path
    size: tuple[int, int]
    is_turned: bool
    q: tuple[float, float, float, float]
    t: tuple[float, float, float]
    focal_length: float

    def view(self) -> View:
        """The object as the image shows it, in the object's own axes. Raises DataError for a wrong file of depth."""
        from scipy.spatial.transform import Rotation

        name = f"the depth of image {self.key!r} ({self.depth})"
        if not self.depth.is_file():
            raise DataError(f"{name} is missing: there is no such file")
        inverse = inverse_depth(file_contents(self.depth, name), DISPARITY, name)
        height, width = self.size
        if inverse.shape != self.size:
            raise DataError(
                f"{name} has another size than its image: got {inverse.shape[1]} x {inverse.shape[0]} pixels, expected "
                f"{width} x {height}"
            )
        if not inverse.any():
            raise DataError(f"{name} shows no object: got 0 in all pixels, expected a depth in some")
        to_object = np.eye(4)
        to_object[:3, :3] = Rotation.from_quat([*self.q[1:], self.q[0]]).as_matrix().T
        to_object[:3, 3] = -to_object[:3, :3] @ self.t
        slopes = width / 2 / self.focal_length, height / 2 / self.focal_length
        left_and_up = np.diag([-1.0, -1.0, 1.0, 1.0])
        return View(inverse, (inverse > 0).astype(np.int64), to_object @ left_and_up, slopes)

    def picture(self) -> Image.Image:
        """The image, RGB, upright."""
        from PIL import ImageOps

        return ImageOps.exif_transpose(decode(self.image, self.key))


@lru_cache(maxsize=1)
def view_of(shot: Shot) -> View:
    """Its view, which is kept until that of another shot is asked for."""
    return shot.view()


def metres_away(
    shot: Shot, points: Sequence[tuple[float, float, float]], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far what the shot shows at places (K, 2), x and y in pixels, is from points (K, 3) of the object in
    millimetres: (K,) metres, infinite where it shows no object."""
    view = view_of(shot)
    pixels = np.rint(places[:, ::-1]).astype(np.int64).clip(0, np.array(shot.size) - 1)
    distance = np.linalg.norm(view.points(pixels) - np.array(points), axis=1) / 1000
    return np.where(np.isnan(distance), np.inf, distance)


def shots_of(folder: Path, keys: Sequence[str], where: Path) -> dict[str, Shot]:
    """The shot of each image OBJECT/SCENE/images/NAME that `where` names. Raises DataError for an annotation that is
    missing or wrong, and for an image of another size than it says."""
    scenes: dict[Path, dict[str, _Annotated]] = {}
    shots = {}
    for key in keys:
        image = folder / key
        scene = image.parent.parent
        if scene not in scenes:
            path = scene / "annotations.json"
            entries: list[_Annotated] = validated_json(list[_Annotated], read_json(path), path)
            scenes[scene] = {entry.filename: entry for entry in entries}
        if image.name not in scenes[scene]:
            raise DataError(f"{scene / 'annotations.json'} has no entry of {image.name}, which {where} names")
        shots[key] = _shot(key, image, scene, scenes[scene][image.name])
    return shots


def _shot(key: str, image: Path, scene: Path, entry: _Annotated) -> Shot:
    size, turned = size_of(image, key), orientation(image) or 1
    size = size[::-1] if turned >= _SIDEWAYS else size
    path, camera = scene / "annotations.json", entry.camera
    if size != entry.image_size:
        raise DataError(
            f"{path} says another size than image {key!r} has: got {entry.image_size[1]} x {entry.image_size[0]} "
            f"pixels, expected {size[1]} x {size[0]}"
        )
    if not any(camera.q):
        raise DataError(
            f"{path} has no rotation for {image.name}: got the quaternion {list(camera.q)}, expected a length"
        )
    depth = scene / "depth" / f"{image.stem}.png"
    return Shot(key, image, depth, size, turned != 1, camera.q, camera.t, camera.focal_length)
