"""DocVQA's files (v1.0, with or without question types; InfographicVQA has the same form): questions on page images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mlcd_eval.data import rendered
from mlcd_eval.data.base import Kind, Question, Sample, Split
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.errors import DataError

IMAGE_FOLDERS = ("", "spdocvqa_images", "infographicsvqa_images", "images", "documents")
"""Where the images of a file's paths, or of their last parts, may be: in the file's folder, or beside that."""


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
        """DocVQA says image, InfographicVQA image_local_name (and answer_type for question_types)."""
        return self.image or self.image_local_name


class _File(BaseModel):
    dataset_name: str = ""
    dataset_split: str
    data: list[_Item]


class DocVQADataset:
    """One file, which is one split; beside it train, which is rendered (see rendered.py) for what has to learn.

    images: a folder to look for images in first, None for no other than the file's. Raises DataError for what is
    missing, damaged or repeated.
    """

    kind: Kind = "docvqa"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, path: Path, images: Path | None, name: str, cache: Path | None) -> None:
        self.name = name
        self._path, self._cache = path, cache
        self._folders = [*([images] if images else []), path.absolute().parent, path.absolute().parent.parent]
        self._file = _read(path)
        self.splits: tuple[str, ...] = tuple(dict.fromkeys(["train", self._file.dataset_split]))
        seen: set[Any] = set()
        for item in self._file.data:
            if item.questionId in seen:
                raise DataError(f"{path}: the questionId {item.questionId} occurs twice, expected each once")
            seen.add(item.questionId)

    def split(self, name: str) -> Split:
        """The pages, each once, in the order in which questions first name them."""
        if self._is_rendered(name):
            return rendered.split(self.name, self._cache)
        pages = dict.fromkeys(item.path for item in self._file.data)
        samples = [Sample(page, self._find(page)) for page in pages]
        return file_split(self.name, name, samples, self._cache)

    def annotations(self, split: str) -> Sequence[Question]:
        """Every question of the file."""
        if self._is_rendered(split):
            return rendered.questions()
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

    def _is_rendered(self, split: str) -> bool:
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: {self._path} holds {self._file.dataset_split}")
        return split != self._file.dataset_split

    def _find(self, page: str) -> Path:
        if not page or Path(page).is_absolute() or ".." in Path(page).parts:
            raise DataError(f"{self._path} names the image {page!r}, expected a file beside it")
        parts = dict.fromkeys((page, Path(page).name))
        for base in self._folders:
            for place in (base / folder / part for folder in IMAGE_FOLDERS for part in parts):
                if place.is_file():
                    return place
        raise DataError(
            f"the image {page!r} of {self.name} is missing: expected it in {self._folders[0]} or its "
            f"{', '.join(IMAGE_FOLDERS[1:])}, or --data-root with its images"
        )


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing, expected DocVQA's annotations such as val_v1.0_withQT.json") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is not DocVQA's annotations: {where or 'the whole'}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
