"""DeepFashion's In-Shop Clothes Retrieval: list_eval_partition.txt, a line `IMAGE ITEM SPLIT` per image, with the split
train, query or gallery."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data.base import Dataset, Sample
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.sources.listed import ListedImages, file_in, words_of
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.errors import DataError

_LIST = ("list_eval_partition.txt", "Eval/list_eval_partition.txt")
SPLITS = {"train": "train", "query": "test", "gallery": "gallery"}
"""The list's word -> the split."""


class InShop(FolderSource):
    """The scheme `inshop`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The images of a folder, below its img or Img/img. A label numbers the items, sorted."""
        folder = Path(address).expanduser()
        path = file_in(folder, *_LIST)
        images = Path(options["images"]).expanduser() if "images" in options else _image_folder(folder)
        rows = words_of(path, 3, begin=2)  # the number of images and the names of columns come first
        items = {item: number for number, item in enumerate(sorted({item for _, item, _ in rows}))}
        splits: dict[str, list[Sample]] = {}
        for image, item, split in rows:
            if split not in SPLITS:
                raise DataError(f"{path} has {image!r} in the split {split!r}: expected {', '.join(SPLITS)}")
            check_below(images, image, path)
            splits.setdefault(SPLITS[split], []).append(Sample(image, images / image, label=items[item]))
        return ListedImages(name, splits, cache)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has the list."""
        return any((folder / place).is_file() for place in _LIST)


def _image_folder(folder: Path) -> Path:
    """Where `img/...` is: the archive of the images is unpacked into Img or beside the list."""
    return folder / "Img" if (folder / "Img" / "img").is_dir() else folder
