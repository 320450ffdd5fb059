"""VLMEvalKit: score files `<model>_<dataset>_acc.csv` or `_score.json`, and answers `<model>_<dataset>.xlsx`.

A data set's name says what its columns are: per cent of DocVQA, ChartQA and the like, points of MME and OCRBench,
fractions of MMMU. Answers are scored by our metrics; they do not say which questions share an image, so there is no
interval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.answers import CHARTQA, DOCVQA, INFOVQA, TEXTVQA, QuestionSet, as_text
from mlcd_eval.imports.imported_task import ImportedTask, LeftOut, foreign_task
from mlcd_eval.imports.source import Source
from mlcd_eval.imports.spreadsheet import spreadsheet_rows
from mlcd_eval.imports.values import UNKNOWN, bounded, fraction, safe_name
from mlcd_eval.imports.vlmevalkit_answers import check_answers, has_answers
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex

QUESTIONS = {"DocVQA_VAL": DOCVQA, "InfoVQA_VAL": INFOVQA, "ChartQA_TEST": CHARTQA, "TextVQA_VAL": TEXTVQA}
"""Data sets of questions that are ours; their `Overall` is per cent."""
PARTS = {"test_human": "_human", "test_augmented": "_augmented"}
"""ChartQA's halves -> suffix of the metric."""
POINTS: Mapping[str, Mapping[str, float]] = {
    "OCRBench": {
        "Final Score": 1000,
        "Text Recognition": 300,
        "Scene Text-centric VQA": 200,
        "Doc-oriented VQA": 200,
        "Key Information Extraction": 200,
        "Handwritten Mathematical Expression Recognition": 100,
    },
    "MME": {
        "perception": 2000,
        "reasoning": 800,
        **dict.fromkeys(
            (
                "OCR",
                "artwork",
                "celebrity",
                "code_reasoning",
                "color",
                "commonsense_reasoning",
                "count",
                "existence",
                "landmark",
                "numerical_calculation",
                "position",
                "posters",
                "scene",
                "text_translation",
            ),
            200,
        ),
    },
}
"""Data set -> its scores in points, and the most there are; the first ranks."""
FRACTIONS = ("MMMU_DEV_VAL",)
"""Data sets with a row per split, and accuracies as fractions: `Overall`, and one per subject."""
TABLES = (".xlsx", ".tsv")
"""Files of answers by their suffix; a `.json` file may hold either."""
MARKS = ({"Overall"}, {"Final Score"}, {"perception", "reasoning"}, {"aAcc", "fAcc", "qAcc"}, {"Bleu", "CIDEr"})
"""Columns by which a score file is known, if not by its name."""


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Whether VLMEvalKit may have written this."""
    named = re.search(r"_(acc|score)$", stem) is not None
    return named or has_answers(first) or any(marks <= first.keys() for marks in MARKS)


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per file; one per row of a file with several splits."""
    for source in sources:
        rows = _rows(source)
        answers = source.path.suffix.lower() in TABLES or has_answers(rows[0])
        stem = source.path.stem if answers else re.sub(r"_(acc|score)$", "", source.path.stem)
        names = (*QUESTIONS, *POINTS, *FRACTIONS)
        dataset = next((name for name in names if stem.endswith(f"_{name}")), "")
        model = safe_name(stem.removesuffix(f"_{dataset}"))
        if answers:
            yield _of_answers(source, model, dataset, rows)
        elif dataset in FRACTIONS:
            yield from (_of_split(source, model, dataset, row) for row in rows)
        else:
            yield _of_scores(source, model, dataset, stem, rows)


def _rows(source: Source) -> list[dict[str, Any]]:
    """The rows of a file: one of a JSON object; raises DataError for a file of another harness."""
    suffix = source.path.suffix.lower()
    if suffix in TABLES:
        return spreadsheet_rows(source) if suffix == ".xlsx" else source.rows("\t")
    content = source.content()
    source.check(content)
    rows = content if isinstance(content, list) else [content]
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{source.path} holds something else than objects, expected one object per row")
    return rows


def _of_scores(source: Source, model: str, dataset: str, stem: str, rows: Sequence[Mapping[str, Any]]) -> ImportedTask:
    """The task of a file of one row; its columns are left out where the data set is not known here."""
    if not dataset:
        left_out = {key: LeftOut(value, "data set not known here") for key, value in rows[0].items()}
        return ImportedTask(source, model, foreign_task("vlmevalkit", stem), stem, left_out=left_out)
    if len(rows) > 1:
        raise DataError(f"{source.path} has {len(rows)} rows, expected the one of {dataset}")
    values = rows[0]
    questions = QUESTIONS.get(dataset)
    metrics = _per_cent(source, questions, values) if questions else _points(source, dataset, values)
    columns = {"Overall", *PARTS} if questions else set(POINTS[dataset])
    return ImportedTask(
        source=source,
        model=model,
        task=questions.task if questions else foreign_task("vlmevalkit", dataset),
        dataset=dataset,
        metrics=tuple(metrics),
        primary=metrics[0].name if metrics else None,
        kind="docvqa" if questions else UNKNOWN,
        split=questions.split if questions else UNKNOWN,
        theirs=dict(values),
        left_out={
            key: LeftOut(value, "a column that is not known here")
            for key, value in values.items()
            if key not in columns
        },
    )


def _per_cent(source: Source, questions: QuestionSet, values: Mapping[str, Any]) -> list[Metric]:
    columns = {"Overall": ""} | (PARTS if questions is CHARTQA else {})
    return [
        Metric(
            name=questions.reported + suffix,
            value=fraction(f"{source.path}: {column}", values[column], per_cent=True),
            num_scored=None,
        )
        for column, suffix in columns.items()
        if column in values
    ]


def _points(source: Source, dataset: str, values: Mapping[str, Any]) -> list[Metric]:
    return [
        Metric(
            name=column,
            value=bounded(f"{source.path}: {column}", values[column], "points", 0, top),
            unit="points",
            num_scored=None,
        )
        for column, top in POINTS[dataset].items()
        if column in values
    ]


def _of_split(source: Source, model: str, dataset: str, row: Mapping[str, Any]) -> ImportedTask:
    """The task of a row of a file with a row per split."""
    split = str(row.get("split", UNKNOWN))
    columns = [column for column in row if column != "split"]
    return ImportedTask(
        source=source,
        model=model,
        task=foreign_task("vlmevalkit", dataset, split),
        dataset=dataset,
        metrics=tuple(
            Metric(name=column, value=fraction(f"{source.path}: {column}", row[column]), num_scored=None)
            for column in columns
        ),
        primary="Overall" if "Overall" in columns else None,
        split=split,
        settings={"split": split},
        theirs=dict(row),
    )


def _of_answers(source: Source, model: str, dataset: str, rows: Sequence[Mapping[str, Any]]) -> ImportedTask:
    """The task of a file of answers, scored by our metrics; ChartQA's halves too, where the file names them."""
    check_answers(source, rows)
    if dataset not in QUESTIONS:
        raise DataError(
            f"{source.path} holds answers to a data set that is not known here: expected a name that ends with "
            f"{', '.join(QUESTIONS)}"
        )
    questions = QUESTIONS[dataset]
    pairs = [(as_text(row.get("prediction")), _known_answers(source, questions, row)) for row in rows]
    metrics = [*questions.metrics(pairs)]
    for part, suffix in PARTS.items() if questions is CHARTQA else ():
        of_part = [pair for pair, row in zip(pairs, rows, strict=True) if row.get("split") == part]
        metrics += questions.metrics(of_part, suffix) if of_part else ()
    return ImportedTask(
        source=source,
        model=model,
        task=questions.task,
        dataset=dataset,
        metrics=tuple(metrics),
        primary=metrics[0].name,
        kind="docvqa",
        split=questions.split,
        theirs={
            "scored_by": "mlcd-eval, from the answers",
            "interval": "none: the file does not say which questions share a page",
        },
        outcomes={"key": [as_text(row["index"]) for row in rows], **questions.scores(pairs)},
        num_samples=len(pairs),
    )


def _known_answers(source: Source, questions: QuestionSet, row: Mapping[str, Any]) -> list[str]:
    answers = questions.known_answers(row.get("answer"))
    if not any(answers):
        raise DataError(f"{source.path}: question {row['index']} has no answer, expected at least one")
    return answers
