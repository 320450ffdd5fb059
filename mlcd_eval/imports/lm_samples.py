"""The samples files of lm-eval and lmms-eval: a JSON object per document and filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.answers import QuestionSet, as_text
from mlcd_eval.imports.source import Source


def count_of(source: Source, task: str, said: Any, samples: Sequence[Source]) -> int | None:
    """Documents that were scored, by the results and by the samples, which must agree; None where neither says."""
    counts = {len({_doc_id(file, line) for line in file.json_lines()}) for file in samples}
    counts |= {said} if type(said) is int else set()
    if len(counts) > 1:
        raise DataError(
            f"{source.path}: {task} was scored on {said} documents, got samples of {sorted(counts - {said})}"
        )
    return next(iter(counts), None)


def answers_of(samples: Sequence[Source], questions: QuestionSet) -> dict[int, tuple[str, list[str]]]:
    """Document -> (prediction, right answers); empty where the lines do not hold one answer per document."""
    lines = [(source, line) for source in samples for line in source.json_lines()]
    pairs: dict[int, tuple[str, list[str]]] = {}
    for source, line in lines:
        answer = _response(line)
        known = questions.known_answers(line.get("target"))
        if answer is None or not any(known) or _doc_id(source, line) in pairs:
            return {}
        pairs[_doc_id(source, line)] = answer, known
    return pairs


def _response(line: Mapping[str, Any]) -> str | None:
    """The one answer after filtering, which is written as `"a"`, `["a"]` or `[["a"]]`; None for anything else."""
    response = line.get("filtered_resps")
    while isinstance(response, list) and len(response) == 1:
        response = response[0]
    return as_text(response) if isinstance(response, (str, int, float)) else None


def _doc_id(source: Source, line: Mapping[str, Any]) -> int:
    try:
        return int(line["doc_id"])
    except (ValueError, TypeError, KeyError) as error:
        got = ", ".join(sorted(line))
        raise DataError(f"{source.path} is no samples file: got an object with {got}, expected doc_id") from error
