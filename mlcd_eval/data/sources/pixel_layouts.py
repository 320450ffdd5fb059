"""Where data sets of depth and of surface normals keep images and values, and what the numbers in their files mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlcd_eval.data.sources.layouts import SCENES, SCENES_FORM, Layout
from mlcd_eval.data.sources.listed import words_of
from mlcd_eval.data.sources.table_columns import check_below, place_of
from mlcd_eval.data.storage.nyu_mat import LABELLED, LISTS, NyuMat
from mlcd_eval.data.storage.pixel_values import Encoding, Measured, Quantity
from mlcd_eval.data.storage.scene_files import INDEX, SceneFiles
from mlcd_eval.data.storage.walk import IMAGE_SUFFIXES
from mlcd_eval.errors import DataError

Splits = Mapping[str, Sequence[Measured]]
"""Split -> its images and their values."""
SPLITS = ("train", "val", "test")


_FINER = 2  # the bundled scenes' images have twice the rows of their depth
_ENDINGS: Mapping[Quantity, str] = {"depth": "depth.png", "normals": "normals.webp"}


def _scenes(quantity: Quantity, folder: Path) -> Splits:
    """Each view is an image, and the scene its unit (benchmarks/densedemo/render.py)."""
    files = SceneFiles(folder)
    depth = Encoding("depth", files.index.depth_scale, inverse=True)
    encoding = depth if quantity == "depth" else Encoding("normals", 127, zero=128)
    splits: dict[str, list[Measured]] = {}
    for split in SPLITS:
        contents = files.contents(split) if split in files.splits else {}
        for scene in files.splits.get(split, ()):
            for view in range(len(scene.cameras)):
                name = f"{scene.name}/{view}"
                picture, values = (
                    files.member(contents, f"{name}.{ending}") for ending in ("webp", _ENDINGS[quantity])
                )
                splits.setdefault(split, []).append(Measured(name, picture, values, encoding, scene.name, finer=_FINER))
    return splits


@dataclass(frozen=True)
class _Lists:
    """A data set whose splits are files of lines IMAGE DEPTH FOCAL_LENGTH, as BTS and the toolboxes after it
    have them. files: split -> what its list may be called. images, depths: folders below which the paths may begin.
    unit: the unit of an image's path in a split, None for the image itself."""

    files: Mapping[str, tuple[str, ...]]
    images: tuple[str, ...]
    depths: tuple[str, ...]
    encoding: Encoding
    unit: Callable[[str, Path], str | None]

    @property
    def marks(self) -> tuple[str, ...]:
        """The names of the lists."""
        return tuple(name for names in self.files.values() for name in names)

    def read(self, folder: Path) -> Splits:
        """The splits whose list is there. Images whose depth the list calls None have none, and are left out."""
        splits = {}
        for split, names in self.files.items():
            for path in [folder / name for name in names if (folder / name).is_file()][:1]:
                splits[split] = list(self._rows(folder, split, path))
        return splits

    def _rows(self, folder: Path, split: str, path: Path) -> Iterator[Measured]:
        lines = [words for words in words_of(path, 3) if words[1] != "None"]
        images, depths = (
            _root(folder, roots, lines[0][place], path) if lines else folder
            for place, roots in ((0, self.images), (1, self.depths))
        )
        for image, depth, _ in lines:
            for root, word in ((images, image), (depths, depth)):
                check_below(root, word.lstrip("/"), path)
            name = Path(image.lstrip("/"))
            yield Measured(
                name.with_suffix("").as_posix(),
                images / name,
                depths / depth.lstrip("/"),
                self.encoding,
                self.unit(split, name),
            )


def _root(folder: Path, roots: Sequence[str], first: str, path: Path) -> Path:
    """The folder below which the first of a list's paths is, else the first folder."""
    places = [folder / root for root in roots]
    return place_of(first.lstrip("/"), places, path) or places[0]


def _drive(_: str, image: Path) -> str | None:
    """KITTI's recording, such as 2011_09_26_drive_0002_sync."""
    return next((part for part in image.parts if part.endswith("_sync")), None)


NYU = _Lists(
    {
        "train": ("nyu_train.txt", "nyudepthv2_train_files_with_gt.txt"),
        "test": ("nyu_test.txt", "nyudepthv2_test_files_with_gt.txt"),
    },
    (".", "sync", "official_splits/test"),
    (".", "sync", "official_splits/test"),
    Encoding("depth", 1000),  # millimetres
    lambda split, image: image.parent.name if split == "train" else None,  # of test it is a kind of room, no scene
)
KITTI = _Lists(
    {
        "train": ("kitti_eigen_train.txt", "eigen_train_files_with_gt.txt"),
        "test": ("kitti_eigen_test.txt", "eigen_test_files_with_gt.txt"),
    },
    ("input", "raw", "."),
    ("gt_depth", "data_depth_annotated", "."),
    Encoding("depth", 256),
    _drive,
)


def _dsine(folder: Path) -> Splits:
    """NYUv2's normals as DSINE ships them: a split's NUMBER_img.png and NUMBER_normal.png."""
    encoding = Encoding("normals", 127.5, zero=127.5)
    return {
        split: [
            Measured(f"{split}/{path.name.removesuffix('_img.png')}", path, path.with_name(normal), encoding)
            for path in sorted((folder / split).glob("*_img.png"))
            for normal in [path.name.replace("_img.png", "_normal.png")]
        ]
        for split in SPLITS
    }


def _folders(encoding: Encoding, folder: Path) -> Splits:
    """One's own data: images/SPLIT/NAME.EXT, and NAME.npy or NAME.png in a folder called by the quantity."""
    splits = {}
    for split in SPLITS:
        images, values = folder / "images" / split, folder / encoding.quantity / split
        if not images.is_dir() or not values.is_dir():
            continue
        files = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        arrays = {path.stem: path for path in values.iterdir() if path.suffix == ".npy"}
        splits[split] = [
            Measured(path.stem, path, arrays.get(path.stem, values / f"{path.stem}.png"), encoding) for path in files
        ]
    return splits


def read_splits(content: Splits, folder: Path) -> Splits:
    """The splits of a folder that have images. Raises DataError where none has."""
    splits = {split: rows for split, rows in content.items() if rows}
    if not splits:
        raise DataError(f"{folder} has no images of the splits {', '.join(SPLITS)}, expected some in one of them")
    return splits


def _own(encoding: Encoding) -> Layout[Splits]:
    where = encoding.quantity
    return Layout(
        f"images/SPLIT and {where}/SPLIT", tuple(f"{where}/{split}" for split in SPLITS), partial(_folders, encoding)
    )


LAYOUTS: Mapping[Quantity, Mapping[str, Layout[Splits] | Layout[NyuMat]]] = {
    "depth": {
        SCENES: Layout(SCENES_FORM, (INDEX,), partial(_scenes, "depth")),
        "nyu": Layout("nyu_train.txt, nyu_test.txt and the folders of rooms", NYU.marks, NYU.read),
        "nyu_mat": Layout(f"{LABELLED} and {LISTS}", (LABELLED,), NyuMat),
        "kitti": Layout("kitti_eigen_train.txt, kitti_eigen_test.txt, input and gt_depth", KITTI.marks, KITTI.read),
        "folders": _own(Encoding("depth", 1000)),
    },
    "normals": {
        SCENES: Layout(SCENES_FORM, (INDEX,), partial(_scenes, "normals")),
        "dsine": Layout("train and test with NUMBER_img.png and NUMBER_normal.png", ("test/000000_img.png",), _dsine),
        "folders": _own(Encoding("normals", 127.5, zero=127.5)),
    },
}
