"""VLMEvalKit: scores `<model>_<dataset>_acc.csv` (or JSON) in per cent, and answers `<model>_<dataset>.xlsx`.

Answers are scored by the metrics of this package. A spreadsheet does not hold which questions share an image, so there
is no interval.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any
from zipfile import BadZipFile, ZipFile

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.imports.common import ANLS_NOTE, UNKNOWN, ImportedTask, fraction, safe_name
from mlcd_eval.imports.source import Source
from mlcd_eval.metrics import text
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex

DATASETS = {
    "DocVQA_VAL": ("docvqa/docvqa_val", "val", "anls"),
    "InfoVQA_VAL": ("docvqa/infovqa_val", "val", "anls"),
    "ChartQA_TEST": ("docvqa/chartqa", "test", "relaxed_accuracy"),
    "TextVQA_VAL": ("docvqa/textvqa", "val", "vqa_accuracy"),
}
"""Data set there -> (task here, split, the metric that `Overall` is)."""
LARGEST = 1 << 28
"""Bytes of XML in a spreadsheet; the questions and answers of the largest of these data sets take 3 million."""
DAMAGED = (BadZipFile, zlib.error, LookupError, ValueError, OSError, SyntaxError, EOFError, RuntimeError, TypeError)
COLUMNS = ("index", "question", "answer", "prediction")


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per file."""
    for source in sources:
        spreadsheet = source.path.suffix.lower() == ".xlsx"
        stem = source.path.stem if spreadsheet else re.sub(r"_(acc|score)$", "", source.path.stem)
        dataset = next((name for name in DATASETS if stem.endswith(f"_{name}")), "")
        model = safe_name(stem.removesuffix(f"_{dataset}"))
        yield _answers(source, model, dataset) if spreadsheet else _scores(source, model, dataset)


def _scores(source: Source, model: str, dataset: str) -> ImportedTask:
    content = source.content()
    source.check(content)
    values = content[0] if isinstance(content, list) else content
    if not dataset or "Overall" not in values:
        return ImportedTask(source, model, f"{UNKNOWN}/{source.path.stem}", source.path.stem, not_imported=values)
    if isinstance(content, list) and len(content) > 1:
        raise DataError(f"{source.path} has {len(content)} rows, expected the single row of {dataset}")
    name, split, metric = DATASETS[dataset]
    value = fraction(f"{source.path}: Overall", values["Overall"], per_cent=True)
    return ImportedTask(
        source=source,
        model=model,
        task=name,
        dataset=dataset,
        metrics=(Metric(name=metric, value=value, num_scored=None),),
        primary=metric,
        kind="docvqa",
        split=split,
        theirs={"Overall": values["Overall"], **({"anls": ANLS_NOTE} if metric == "anls" else {})},
        not_imported={key: value for key, value in values.items() if key != "Overall"},
    )


def _answers(source: Source, model: str, dataset: str) -> ImportedTask:
    rows = _rows(source)
    if not dataset:
        raise DataError(
            f"{source.path} holds answers to an unknown data set, expected a name that ends with {', '.join(DATASETS)}"
        )
    task, split, metric = DATASETS[dataset]
    pairs = [(_text(row["prediction"]), _known_answers(source, row)) for row in rows]
    names = (metric, "anls_compat") if metric == "anls" else (metric,)
    means = {name: sum(getattr(text, name)(*pair) for pair in pairs) / len(pairs) for name in names}
    return ImportedTask(
        source=source,
        model=model,
        task=task,
        dataset=dataset,
        metrics=tuple(Metric(name=name, value=mean, num_scored=len(pairs)) for name, mean in means.items()),
        primary=metric,
        kind="docvqa",
        split=split,
        theirs={"scored_by": "mlcd-eval, from the predictions", "interval": "none: pages cannot be distinguished"},
        num_samples=len(pairs),
    )


def _rows(source: Source) -> list[dict[str, Any]]:
    """The rows of the first sheet; raises DataError for a file that is no spreadsheet, missing columns, no rows and
    repeated questions."""
    try:
        import openpyxl
    except ImportError as error:
        raise ConfigError(f"{source.path} needs the extra `pip install 'mlcd-eval[imports]'`: {error}") from error
    try:
        _check_size(source)
        sheet = openpyxl.load_workbook(io.BytesIO(source.data), read_only=True).worksheets[0]
        header, *lines = sheet.iter_rows(values_only=True)
    except DAMAGED as error:
        raise DataError(f"{source.path} is not a spreadsheet with rows: {error}") from error
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise DataError(f"{source.path} has no column {', '.join(missing)}, expected {', '.join(COLUMNS)}")
    rows = [dict(zip_longest(header, line[: len(header)])) for line in lines if any(cell is not None for cell in line)]
    repeated = [index for index, count in Counter(str(row["index"]) for row in rows).items() if count > 1]
    if repeated or not rows:
        raise DataError(
            f"{source.path} has {len(rows)} rows and repeats {len(repeated)} questions, first {repeated[:1]}: "
            f"expected each question once"
        )
    return rows


def _check_size(source: Source) -> None:
    """Raise DataError for a spreadsheet (an archive of XML) that would take too much memory when it is unpacked."""
    with ZipFile(io.BytesIO(source.data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST:
        raise DataError(f"{source.path} is refused: it holds {size:,} bytes, expected at most {LARGEST:,}")


def _known_answers(source: Source, row: Mapping[str, Any]) -> list[str]:
    """The answers in a cell that holds a list literal; any other cell is one answer."""
    cell = _text(row["answer"]).strip()
    answers = [cell]
    if cell.startswith("["):
        with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # text like a list
            answers = [_text(answer) for answer in ast.literal_eval(cell)]
    if not any(answers):
        raise DataError(f"{source.path}: question {row['index']} has no answer, expected at least one")
    return answers


def _text(value: Any) -> str:
    return "" if value is None else str(value)
