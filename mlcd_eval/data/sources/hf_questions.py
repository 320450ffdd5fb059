"""Questions on images from the Hugging Face library `datasets`: lmms-lab's copies of DocVQA, InfographicVQA, ChartQA,
TextVQA, and others of the same columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mlcd_eval.data import rendered
from mlcd_eval.data.annotations import Question, Word
from mlcd_eval.data.base import Dataset, Kind, Sample, Split
from mlcd_eval.data.rendered import RENDERED
from mlcd_eval.data.scheme import Options
from mlcd_eval.data.sources.hf import HuggingFaceDatasets, HuggingFaceRows
from mlcd_eval.data.storage.rows import RowShard, image_digest, ranges
from mlcd_eval.errors import DataError

IDS = ("questionId", "question_id", "id")
PAGES = ("ucsf_document_id", "ucsf_document_page_no"), ("image_id",), ("docId",), ("image_url",)
"""Columns that name an image which several questions share: the first group of which all exist. Without one, images of
equal contents are the same image, named by their hash (ChartQA)."""
TYPES = ("question_types", "type", "answer_type")


class HuggingFaceQuestionSets(HuggingFaceDatasets):
    """The scheme `hf-vqa`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The questions of a hub repository or a folder."""
        return HuggingFaceQuestions(address, options, name=name, cache=cache, offline=offline)


class HuggingFaceQuestions(HuggingFaceRows):
    """`hf-vqa:ORG/NAME` with the options config, revision and split_{train,val,test} of `hf:`.

    Columns: question, image, answers (a list) or answer, and if they exist one of IDS, a group of PAGES and one of
    TYPES. Besides its splits there is that of rendered pages (rendered.py). Raises DataError for missing columns.
    """

    kind: Kind = "docvqa"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> None:
        super().__init__(f"hf-vqa:{address}", options, name, cache, offline)
        for column in ("question", "image"):
            if column not in self._features:
                raise DataError(f"{self._ref} has no column {column!r}: got {', '.join(self._features)}")
        self.splits = (RENDERED, *self._sources)
        self._opened: dict[str, Any] = {}
        self._keys: dict[str, list[str]] = {}

    def split(self, name: str) -> Split:
        """The images, each once; one shard is 1,024 of them."""
        if name == RENDERED:
            return rendered.split(self.name, self._cache)
        rows = self._rows(name)
        first = self._first_rows(name)
        shards = []
        for part in ranges(len(first)):
            samples = partial(self._samples, rows, first[part.start : part.stop])
            shards.append(RowShard(f"{name}/{part.start}-{part.stop - 1}", samples, self._cache))
        return Split(self.name, name, shards)

    def annotations(self, split: str) -> Sequence[Question | Word]:
        """Every row's question, or every word of the rendered pages."""
        if split == RENDERED:
            return rendered.words()
        rows = enumerate(self._rows(split).remove_columns("image"))
        questions = [
            self._question(number, row, page) for (number, row), page in zip(rows, self._pages(split), strict=True)
        ]
        if len({question.question_id for question in questions}) < len(questions):
            questions = [replace(question, question_id=number) for number, question in enumerate(questions)]
        return questions

    def _rows(self, split: str) -> Any:
        if split not in self._sources:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")
        if split not in self._opened:
            from datasets import Image

            self._opened[split] = self._read(self._sources[split]).cast_column("image", Image(decode=False))
        return self._opened[split]

    def _pages(self, split: str) -> list[str]:
        """The name of each row's image. Kept, since naming images by their contents reads all of them."""
        if split not in self._keys:
            rows = self._rows(split)
            columns = next((columns for columns in PAGES if set(columns) <= self._features.keys()), ())
            named = [_named(row, columns) for row in rows.remove_columns("image")]
            self._keys[split] = [
                name or image_digest(_encoded(rows[number]["image"]), f"row {number}")[:16]
                for number, name in enumerate(named)
            ]
        return self._keys[split]

    def _first_rows(self, split: str) -> list[tuple[int, str]]:
        """(row, key) of each image's first row."""
        first: dict[str, int] = {}
        for number, key in enumerate(self._pages(split)):
            first.setdefault(key, number)
        return [(number, key) for key, number in first.items()]

    def _samples(self, rows: Any, chosen: Sequence[tuple[int, str]]) -> Iterator[Sample]:
        for number, key in chosen:
            yield Sample(key, _encoded(rows[number]["image"]))

    def _question(self, number: int, row: Mapping[str, Any], page: str) -> Question:
        answers = row.get("answers", row.get("answer"))
        known = [answers] if isinstance(answers, str) else answers
        column = next((column for column in IDS if column in row), None)
        kinds = next((row[column] for column in TYPES if row.get(column)), ())
        return Question(
            question_id=number if column is None else row[column],
            image=page,
            document=str(row.get("ucsf_document_id") or page),
            text=row["question"],
            answers=tuple(known) if known else None,
            types=(kinds,) if isinstance(kinds, str) else tuple(kinds),
        )


def _named(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    return "_".join(str(row[column]) for column in columns if row[column] is not None)


def _encoded(image: Mapping[str, Any]) -> bytes | Path:
    return image["bytes"] if image["bytes"] is not None else Path(image["path"])
