"""Masks and answers that were saved by some other program, held against the annotations that they are for."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from mlcd_eval.data.base import Annotation, Expression, Question
from mlcd_eval.data.storage.rle import as_rle
from mlcd_eval.errors import DataError


def read_masks(path: Path, expressions: Sequence[Expression]) -> dict[Hashable, dict[str, Any]]:
    """sent_id -> RLE, of JSONL or a JSON list of {sent_id | ref_id and sentence, segmentation: COCO RLE or polygons}.

    Where a ref has a sentence several times, its predictions are theirs in order; a single one serves them all. Raises
    DataError for masks of another size than their image, for missing, repeated and unknown ids.
    """
    by_id = {one.sent_id: one for one in expressions}
    found: list[tuple[Hashable, Any]] = []
    named: dict[tuple[str, str], list[Any]] = {}
    for item in _items(path):
        if "sent_id" not in item and not ("ref_id" in item and "sentence" in item):
            raise DataError(f"{path}: a prediction has {sorted(item)}, expected sent_id, or ref_id and sentence")
        pair = str(item.get("ref_id")), str(item.get("sentence"))
        if "segmentation" not in item:
            raise DataError(f"{path}: the prediction for {item.get('sent_id', pair)} has no segmentation (COCO RLE)")
        if "sent_id" in item:
            found.append((item["sent_id"], item["segmentation"]))
        else:
            named.setdefault(pair, []).append(item["segmentation"])
    by_sentence: dict[tuple[str, str], list[Hashable]] = {}
    for one in expressions:
        by_sentence.setdefault((str(one.ref_id), one.text), []).append(one.sent_id)
    for pair, own in named.items():
        ids = by_sentence.get(pair, [f"ref_id {pair[0]} with {pair[1]!r}"])
        # one mask serves all; any beyond the ids repeat the last one
        found += zip(chain(ids, repeat(ids[-1])), own * len(ids) if len(own) == 1 else own, strict=False)
    masks = _complete(path, found, by_id, "sent_id")
    return {
        number: as_rle(mask, by_id[number].size, f"{path}: sent_id {number}")  # type: ignore[index]
        for number, mask in masks.items()
    }


def read_answers(path: Path, questions: Sequence[Question]) -> dict[Hashable, str]:
    """question_id -> answer, of the RRC submission's [{"questionId", "answer"}] or the same as JSONL.

    Raises DataError for missing, repeated and unknown ids and for answers that are no text.
    """
    found: list[tuple[Hashable, Any]] = []
    for item in _items(path):
        number = item.get("questionId", item.get("question_id"))
        if number is None or "answer" not in item:
            raise DataError(f"{path}: an answer has {sorted(item)}, expected questionId and answer")
        if not isinstance(item["answer"], (str, int, float)):
            raise DataError(f"{path}: the answer of question {number} is {item['answer']!r}, expected text")
        found.append((number, str(item["answer"])))
    return _complete(path, found, {one.question_id: one for one in questions}, "questionId")


def _items(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        items = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(line) for line in text.split("\n") if line.strip()]
        )
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing, expected predictions as JSONL or a JSON list") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSONL or a JSON list: {error}") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DataError(f"{path} holds something else than objects, expected one prediction an object")
    return items


def _complete(
    path: Path, found: Sequence[tuple[Hashable, Any]], expected: Mapping[Any, Annotation], name: str
) -> dict[Hashable, Any]:
    """The predictions by id, each expected one once; ids of another type but the same text are taken for the same."""
    as_expected = {str(number): number for number in expected}
    numbers = [as_expected.get(str(number), str(number)) for number, _ in found]
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
    return dict(zip(numbers, (value for _, value in found), strict=True))
