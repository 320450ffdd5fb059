"""The bundled scenes with exact truth, or others in their layout: scenes.json and a tar file for each split, which
benchmarks/densedemo writes."""

from __future__ import annotations

import io
import tarfile
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, Field

from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading

INDEX = "scenes.json"
LARGEST = 1 << 30
"""Bytes of a split's tar file, which is read whole."""


class Thing(BaseModel):
    """An object of a scene. label: its class; object, texture: which ones they are."""

    label: int = Field(alias="class", ge=0)
    object: str
    texture: int


class Scene(BaseModel):
    """A scene, of which there are several views. cameras: the matrix of each view from the camera to the scene."""

    name: str
    split: str
    things: list[Thing]
    cameras: list[list[list[float]]]


class _Index(BaseModel):
    classes: list[str] = Field(min_length=2)
    fov: float
    depth_scale: float
    scenes: list[Scene] = Field(min_length=1)


class SceneFiles:
    """A folder of scenes. Raises DataError for an index that is missing, wrong, or names a class that it has not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / INDEX
        if not path.is_file():
            raise DataError(f"{path} is missing, expected the list of the scenes")
        self.index = validated_json(_Index, read_json(path), path)
        for scene in self.index.scenes:
            for thing in scene.things:
                if thing.label >= len(self.index.classes):
                    raise DataError(
                        f"{path}: {scene.name} has an object of class {thing.label}, expected 0 to "
                        f"{len(self.index.classes) - 1}"
                    )

    @cached_property
    def splits(self) -> dict[str, list[Scene]]:
        """Split -> its scenes."""
        splits: dict[str, list[Scene]] = {}
        for scene in self.index.scenes:
            splits.setdefault(scene.split, []).append(scene)
        return splits

    def contents(self, split: str) -> dict[str, bytes]:
        """The files of a split's tar by name: `SCENE/VIEW.ENDING`."""
        path = self.folder / f"{split}.tar"
        if not path.is_file():
            raise DataError(f"{path} is missing, expected the files of the split {split!r}")
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} is too large: got {path.stat().st_size:,} bytes, expected at most {LARGEST:,}")
        # not from the path: tarfile reserves what a damaged length says, of a file in memory only what is there
        file_in_memory = io.BytesIO(path.read_bytes())
        with reading(f"{path} is no tar file"), tarfile.open(fileobj=file_in_memory, mode="r:") as tar:
            members = [member for member in tar if member.isfile()]
            if sum(member.size for member in members) > path.stat().st_size:
                raise DataError(f"{path} is damaged: its members are larger than the file")
            return {member.name: file.read() for member in members if (file := tar.extractfile(member)) is not None}

    def member(self, contents: dict[str, bytes], name: str) -> bytes:
        """One of the `contents` of a split; raises DataError where the tar lacks it."""
        if name not in contents:
            raise DataError(f"the tar files of {self.folder} lack {name}, which {INDEX} says they have")
        return contents[name]
