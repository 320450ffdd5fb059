"""COCO-CN: Chinese captions that people wrote for images of COCO (Li et al. 2019)."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.sources.multilingual import Captioned, CaptionsByLanguage, image_path, text_lines
from mlcd_eval.errors import DataError

CAPTIONS = "imageid.human-written-caption.txt"
SPLITS = ("train", "val", "test")


class CocoCN(FolderSource):
    """The scheme `coco-cn`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The splits whose list coco-cn_SPLIT.txt is there. Raises DataError for a line that is not IMAGE#NUMBER, a
        tabulator and a caption."""
        folder = Path(address).expanduser()
        images = Path(options["images"]).expanduser() if "images" in options else folder / "images"
        captions = _captions(folder / CAPTIONS)
        lists = {split: folder / f"coco-cn_{split}.txt" for split in SPLITS}
        found = {split: text_lines(path) for split, path in lists.items() if path.is_file()}
        if not found:
            raise DataError(f"{folder} has no list of images: expected coco-cn_test.txt")
        splits = {
            split: [
                Captioned(key, image_path(images, f"{key}.jpg", lists[split]), {"zh": captions.get(key, ())})
                for key in map(str.strip, keys)
            ]
            for split, keys in found.items()
        }
        return CaptionsByLanguage(name, splits, cache)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has the captions."""
        return (folder / CAPTIONS).is_file()


def _captions(path: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text_lines(path), 1):
        image, tab, caption = line.partition("\t")
        if not tab:
            raise DataError(f"line {number} of {path} is {line[:60]!r}: expected IMAGE#NUMBER, a tabulator, a caption")
        key = image.partition("#")[0]
        found[key] = (*found.get(key, ()), caption.strip())
    return found
