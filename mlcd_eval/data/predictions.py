"""Masks and answers that another program saved, checked against the annotations that they belong to."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from mlcd_eval.data.annotations import Annotation, Expression, Question
from mlcd_eval.data.storage.rle import as_rle
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import json_lines, parse_json

Prediction = tuple[Hashable, Any]
"""The id of a sentence or question as its file has it, and the mask or answer."""
Sentence = tuple[str, str]
"""ref_id and text."""


def read_masks(path: Path, expressions: Sequence[Expression]) -> dict[Hashable, dict[str, Any]]:
    """sent_id -> RLE, from JSONL or a JSON list of {sent_id | ref_id and sentence, segmentation}. A segmentation is a
    COCO RLE, or a list of polygons or RLEs, which are united; the empty list says that there is nothing.

    Where a ref has a sentence several times, its predictions belong to them in order; a single prediction is used for
    all of them. Raises DataError for masks of another size than their image and for missing, repeated and unknown ids.
    """
    by_id = {expression.sent_id: expression for expression in expressions}
    masks: list[Prediction] = []
    masks_by_sentence: dict[Sentence, list[Any]] = {}
    for item in _items(path):
        if "sent_id" not in item and not ("ref_id" in item and "sentence" in item):
            raise DataError(f"{path}: a prediction has {sorted(item)}, expected sent_id, or ref_id and sentence")
        sentence = str(item.get("ref_id")), str(item.get("sentence"))
        if "segmentation" not in item:
            name = item.get("sent_id", sentence)
            raise DataError(
                f"{path}: the prediction for {name} has no segmentation: got {sorted(item)}, expected one, as COCO's "
                f'RLE {{"size": [HEIGHT, WIDTH], "counts": ...}} or polygons'
            )
        if "sent_id" in item:
            masks.append((item["sent_id"], item["segmentation"]))
        else:
            masks_by_sentence.setdefault(sentence, []).append(item["segmentation"])
    masks += _numbered(masks_by_sentence, expressions)
    return {
        number: as_rle(mask, by_id[number].size, f"{path}: sent_id {number}")  # type: ignore[index]
        for number, mask in _complete(path, masks, by_id, "sent_id").items()
    }


def _numbered(
    masks_by_sentence: Mapping[Sentence, Sequence[Any]], expressions: Sequence[Expression]
) -> Iterator[Prediction]:
    """The masks of sentences by sent_id: a single mask for every equal sentence of its ref, several in order; masks
    beyond the last id repeat it, and are refused as repeated."""
    ids_by_sentence: dict[Sentence, list[Hashable]] = {}
    for expression in expressions:
        sentence = str(expression.ref_id), expression.text
        ids_by_sentence.setdefault(sentence, []).append(expression.sent_id)
    for sentence, masks in masks_by_sentence.items():
        ids = ids_by_sentence.get(sentence, [f"ref_id {sentence[0]} with {sentence[1]!r}"])
        yield from zip(chain(ids, repeat(ids[-1])), [*masks] * len(ids) if len(masks) == 1 else masks, strict=False)


def read_answers(path: Path, questions: Sequence[Question]) -> dict[Hashable, str]:
    """question_id -> answer, from the RRC submission's [{"questionId", "answer"}] or the same as JSONL.

    Raises DataError for missing, repeated and unknown ids and for answers that are not text.
    """
    answers: list[Prediction] = []
    for item in _items(path):
        number = item.get("questionId", item.get("question_id"))
        if number is None or "answer" not in item:
            raise DataError(f"{path}: an answer has {sorted(item)}, expected questionId and answer")
        if not isinstance(item["answer"], (str, int, float)):
            raise DataError(f"{path}: the answer of question {number} is {item['answer']!r}, expected text")
        answers.append((number, str(item["answer"])))
    return _complete(path, answers, {question.question_id: question for question in questions}, "questionId")


def _items(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        items = (
            parse_json(text)
            if text.lstrip().startswith("[")
            else [item for _, item in json_lines(text.split("\n"), path)]
        )
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing, expected predictions as JSONL or a JSON list") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSONL or a JSON list: {error}") from error
    if not all(isinstance(item, dict) for item in items):
        raise DataError(f"{path} holds something other than objects, expected one object per prediction")
    return items


def _complete(
    path: Path, predictions: Sequence[Prediction], expected: Mapping[Any, Annotation], name: str
) -> dict[Hashable, Any]:
    """The predictions by id, each expected id once; ids of another type but of the same text count as the same."""
    as_expected = {str(number): number for number in expected}
    numbers = [as_expected.get(str(number), str(number)) for number, _ in predictions]
    unknown = [number for number in numbers if number not in expected]
    seen: set[Hashable] = set()
    repeated = [number for number in numbers if number in seen or seen.add(number)]  # type: ignore[func-returns-value]
    missing = [number for number in expected if number not in seen]
    for problem, ids in (("unknown", unknown), ("repeated", repeated), ("missing", missing)):
        if ids:
            first = ", ".join(map(str, ids[:5]))
            raise DataError(
                f"{path}: {len(ids)} {problem} {name}s, first {first}: expected each of {len(expected)} once"
            )
    return dict(zip(numbers, (value for _, value in predictions), strict=True))
