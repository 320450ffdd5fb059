"""Images with one long caption each: Urban-1k, ShareGPT4V and DCI in their own layouts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from mlcd_eval.data.base import Dataset, Kind, Sample
from mlcd_eval.data.scheme import DataFacts, FolderSource, Options, Source, names_of
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.sources.multilingual import text_lines
from mlcd_eval.data.sources.table import existing_file
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.errors import DataError

FIRST = 1000
"""Images of ShareGPT4V's file that are held out from Long-CLIP's training (train/sharegpt4v.py), and scored."""


class LongCaptions(ListedImages):
    """The split test: images with a caption each. Raises DataError for none, and for a caption that is blank."""

    kind: Kind = "retrieval"

    def __init__(self, name: str, samples: Iterable[Sample], where: Path, cache: Path | None) -> None:
        listed = list(samples)
        if not listed:
            raise DataError(f"{where} has no captions: expected at least one")
        for sample in listed:
            if not sample.texts[0].strip():
                raise DataError(f"{where}: the caption of {sample.key} is blank, expected text")
        super().__init__(name, {"test": listed}, cache)


class _Folders(FolderSource):
    """A folder that has folders of these names."""

    needed: Sequence[str]

    def has_layout(self, folder: Path) -> bool:
        """Whether it has all the folders."""
        return all((folder / name).is_dir() for name in self.needed)

    def _files(self, folder: Path, place: str, suffix: str) -> list[Path]:
        if not self.has_layout(folder):
            raise DataError(f"{folder} lacks the layout: expected the folders {' and '.join(self.needed)} in it")
        return sorted(file for file in (folder / place).iterdir() if file.suffix == suffix)


class Urban1k(_Folders):
    """The scheme `urban1k`: caption/KEY.txt, whose first line is read, and image/KEY.jpg (Zhang et al. 2024)."""

    needed = ("caption", "image")

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The captions in the order of their names, numbers as numbers."""
        folder = Path(address).expanduser()
        files = self._files(folder, "caption", ".txt")
        if all(file.stem.isascii() and file.stem.isdigit() for file in files):
            files.sort(key=lambda file: int(file.stem))
        samples = (
            Sample(file.stem, folder / "image" / f"{file.stem}.jpg", texts=(text_lines(file)[0].strip(),))
            for file in files
        )
        return LongCaptions(name, samples, folder, cache)


class _Turn(BaseModel):
    value: str


class _Conversation(BaseModel):
    image: str
    conversations: list[_Turn] = Field(min_length=2)


class ShareGPT4V(Source):
    """The scheme `sharegpt4v`: a JSON list, in which the answer of a conversation is the image's caption."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The first images of the file, FIRST unless the option says otherwise."""
        path = existing_file(address)
        folder = Path(options["images"]).expanduser() if "images" in options else path.parent
        raw = read_json(path)
        if not isinstance(raw, list):
            raise DataError(f"{path} is no list: got a {type(raw).__name__}, expected one of conversations")
        first = options.get("first", str(FIRST))
        items = validated_json(list[_Conversation], raw if first == "all" else raw[: int(first)], path)
        samples = []
        for item in items:
            check_below(folder, item.image, path)
            text = item.conversations[1].value.replace("\n", " ").strip()
            samples.append(Sample(item.image, folder / item.image, texts=(text,)))
        return LongCaptions(name, samples, path, cache)

    def default_name(self, address: str) -> str:
        """The file's name without its suffix."""
        return Path(address).stem

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """NAME/conversations.json."""
        files = (root / name / "conversations.json" for name in names_of(facts))
        return next((str(file) for file in files if file.is_file()), None)


class _Dense(BaseModel):
    image: str
    short_caption: str
    extra_caption: str = ""


class DCI(_Folders):
    """The scheme `dci`: complete/*.json with the captions of a photo, photos/... (Urbanek et al. 2024)."""

    needed = ("complete", "photos")

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """Every photo with its short caption and, unless the option says short, the extra one after it."""
        folder = Path(address).expanduser()
        samples = []
        for file in self._files(folder, "complete", ".json"):
            item = validated_json(_Dense, read_json(file), file)
            check_below(folder / "photos", item.image, file)
            short = options.get("captions") == "short"
            text = item.short_caption if short else f"{item.short_caption}\n{item.extra_caption}"
            samples.append(Sample(file.stem, folder / "photos" / item.image, texts=(text.strip(),)))
        return LongCaptions(name, samples, folder, cache)
