"""DocVQA's files (v1.0, with or without question types; InfographicVQA has the same form): questions on page images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mlcd_eval.data import rendered
from mlcd_eval.data.annotations import Question, Word
from mlcd_eval.data.base import Kind, Sample, Split
from mlcd_eval.data.rendered import RENDERED
from mlcd_eval.data.scheme import DataFacts, Options, Source
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import read_json

IMAGE_FOLDERS = ("", "spdocvqa_images", "infographicsvqa_images", "images", "documents")
"""The folders, in the annotation file's folder or beside it, in which the images may be: by their whole path in the
file or by its last part."""
PUBLISHED = {"docvqa": ("spdocvqa_qas", ""), "infovqa": ("infographicsvqa_qas", "infographicsVQA_")}
"""Data set -> the folder in which its annotations are published, and the beginning of their file names."""


class DocVQAFiles(Source):
    """The scheme `docvqa`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> DocVQADataset:
        """The data set in one file."""
        images = Path(options["images"]).expanduser() if "images" in options else None
        return DocVQADataset(Path(address).expanduser(), images, name, cache)

    def default_name(self, address: str) -> str:
        """The file's folder and the beginning of the file's name: FOLDER_val for FOLDER/val_v1.0.json."""
        file = Path(address).absolute()
        return f"{file.parent.name}_{re.split(r'_v[0-9]', file.stem)[0]}"

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The annotations of the split (val if none is given) in the folder of the data set's name, for those of
        PUBLISHED also in the published folder and in the root itself; a file with question types comes first."""
        places = [(root / facts.name, "*")]
        if facts.name in PUBLISHED:
            folder, beginning = PUBLISHED[facts.name]
            places += [(root / folder, beginning), (root, beginning)]
        for place, beginning in places:
            files = place.glob(f"{beginning}{split or 'val'}_v1.0*.json")
            if file := min(files, key=lambda file: ("withQT" not in file.name, file.name), default=None):
                return str(file)
        return None

    def discover(self, root: Path) -> list[str]:
        """All annotation files in the folders directly below the root."""
        return [str(file) for file in root.glob("*/*_v1.0*.json")]


class _Item(BaseModel):
    questionId: int | str
    question: str
    image: str = ""
    image_local_name: str = ""
    question_types: list[str] = []
    answer_type: list[str] = []
    answers: list[str] | None = None
    docId: int | str | None = None
    ucsf_document_id: str | None = None

    @property
    def path(self) -> str:
        """The image's: DocVQA has it in `image`, InfographicVQA in `image_local_name`."""
        return self.image or self.image_local_name


class _File(BaseModel):
    dataset_name: str = ""
    dataset_split: str
    data: list[_Item]


class DocVQADataset:
    """One annotation file, which is one split; besides it there is the split of rendered pages (rendered.py). Images
    are looked for only when a split is asked for, since saved answers are scored without them.

    images: a folder to look for images in first, None for the file's own folder only. Raises DataError for files that
    are missing or damaged and for repeated ids.
    """

    kind: Kind = "docvqa"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, path: Path, images: Path | None, name: str, cache: Path | None) -> None:
        self.name = name
        self._path, self._cache = path, cache
        self._folders = [*([images] if images else []), path.absolute().parent, path.absolute().parent.parent]
        self._file = _read(path)
        self.splits: tuple[str, ...] = (RENDERED, self._file.dataset_split)
        seen: set[Any] = set()
        for item in self._file.data:
            if item.questionId in seen:
                raise DataError(f"{path}: the questionId {item.questionId} occurs twice, expected each once")
            seen.add(item.questionId)

    def split(self, name: str) -> Split:
        """The pages, each once, in the order in which the questions first name them."""
        if self._checked(name) == RENDERED:
            return rendered.split(self.name, self._cache)
        pages = dict.fromkeys(item.path for item in self._file.data)
        samples = [Sample(page, self._find(page)) for page in pages]
        return file_split(self.name, name, samples, self._cache)

    def annotations(self, split: str) -> Sequence[Question | Word]:
        """Every question of the file, or every word of the rendered pages."""
        if self._checked(split) == RENDERED:
            return rendered.words()
        return [
            Question(
                question_id=item.questionId,
                image=item.path,
                document=str(item.ucsf_document_id or item.docId or item.path),
                text=item.question,
                answers=tuple(item.answers) if item.answers else None,
                types=tuple(item.question_types or item.answer_type),
            )
            for item in self._file.data
        ]

    def _checked(self, split: str) -> str:
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: {self._path} holds {self._file.dataset_split}")
        return split

    def _find(self, page: str) -> Path:
        if not page or Path(page).is_absolute() or ".." in Path(page).parts:
            raise DataError(f"{self._path} names the image {page!r}, expected a file beside it")
        parts = dict.fromkeys((page, Path(page).name))
        for base in self._folders:
            for file in (base / folder / part for folder in IMAGE_FOLDERS for part in parts):
                if file.is_file():
                    return file
        raise DataError(
            f"the image {page!r} of {self.name} is missing: expected it in {self._folders[0]} or its "
            f"{', '.join(IMAGE_FOLDERS[1:])}, or --data-root with its images"
        )


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(read_json(path))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing, expected DocVQA's annotations such as val_v1.0_withQT.json") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is not DocVQA's annotations: {where or 'the whole file'}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
