"""CUB-200-2011: images.txt and image_class_labels.txt, joined by the number of the image."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data.base import Dataset, Sample
from mlcd_eval.data.labels import LabelRange
from mlcd_eval.data.scheme import DataFacts, FolderSource, Options
from mlcd_eval.data.sources.listed import ListedImages, file_in, words_of
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.errors import DataError


class Birds(FolderSource):
    """The scheme `cub`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The images of a folder, below its images. The first half of the classes is train and the other test, as in
        metric learning (Oh Song et al. 2016). A label is the number of its class less 1."""
        folder = Path(address).expanduser()
        paths, labels = (file_in(folder, file) for file in ("images.txt", "image_class_labels.txt"))
        image_of = dict(words_of(paths, 2))
        label_of = {
            number: LabelRange(None).parse_index(label.encode(), f"image {number} in {labels}")
            for number, label in words_of(labels, 2)
        }
        if image_of.keys() != label_of.keys():
            odd = sorted(image_of.keys() ^ label_of.keys())
            raise DataError(
                f"{labels} does not fit {paths}: got {len(odd)} images that are in one of them only, first {odd[0]}"
            )
        half = (max(label_of.values()) + 1) // 2
        splits: dict[str, list[Sample]] = {"train": [], "test": []}
        for number, image in image_of.items():
            check_below(folder / "images", image, paths)
            split = "train" if label_of[number] <= half else "test"
            splits[split].append(Sample(image, folder / "images" / image, label=label_of[number] - 1))
        return ListedImages(name, splits, cache)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, or CUB_200_2011, if it has the lists."""
        own = root / "CUB_200_2011"
        found = super().find(root, facts, split)
        return found or (str(own) if facts.name == "cub" and self.has_layout(own) else None)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has the lists."""
        return (folder / "image_class_labels.txt").is_file()
