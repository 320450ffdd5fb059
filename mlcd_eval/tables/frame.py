"""Records as one tidy pandas frame, as CSV and as JSON: one row per metric."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.records import Result, read_all
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.records.result import plain
from mlcd_eval.support.same import Same
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.variants import variants

if TYPE_CHECKING:
    import pandas

ABOUT_METRIC = ("metric", "primary", "value", "unit", "higher_is_better")
OF_RECORD = ("model", "spec", "task", "variant", "protocol", "task_version", "settings", "dataset", "split")
OF_METRIC = (*ABOUT_METRIC, "ci_low", "ci_high", "num_scored", "num_unscored")
OF_RUN = ("seed", "limit", "precision", "model_fingerprint", "dataset_fingerprint", "status", "error")
OF_COST = ("images_per_s", "encode_device", "image_params", "gflops", "peak_memory_bytes", "bytes_per_embedding")
COLUMNS = (*OF_RECORD, *OF_METRIC, *OF_RUN, *OF_COST)
"""variant: what sets a number apart from the others of its task (see `identity.variants`), empty for the usual one.
OF_COST: see records.efficiency; image_params: its num_params; encode_device: the device's name."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")


def results_frame(paths: str | Path | Sequence[str | Path]) -> pandas.DataFrame:
    """All records at or under the paths; values are fractions, undefined ones NaN; a failed task is one row.

    Raises DataError for a path without records and for files that are not records.
    """
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return frame_of(read_all(Path(path) for path in several))


def frame_of(results: Iterable[Result]) -> pandas.DataFrame:
    """The frame of records in memory; settings are JSON."""
    import pandas

    return pandas.DataFrame(tidy_rows(results, _as_text), columns=list(COLUMNS))


def as_csv(table: TableInput) -> Iterator[str]:
    """The rows of the tidy frame; a text that a spreadsheet would run as a formula gets a ' before it."""
    write = csv.writer(_Returned(), lineterminator="\n").writerow
    yield write(COLUMNS)
    for row in tidy_rows(table.results, _as_text):
        yield write([_disarmed(value) if isinstance(value, str) else value for value in row.values()])


class _Returned:
    """A file for a writer that returns what its file's `write` does: the text."""

    def write(self, text: str) -> str:
        return text


def _as_text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, ensure_ascii=False)


@functools.lru_cache(maxsize=1 << 12)
def _disarmed(text: str) -> str:
    text = "\n".join(text.splitlines())  # a lone \r would end the row: the writer does not quote it
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


_encoded = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n    ", ": ")).encode
"""An object without lists and objects in it, indented but for its ends: json itself indents twenty times slower."""


def as_json(table: TableInput) -> Iterator[str]:
    """The tidy rows; undefined values are null."""
    before = "[\n"
    for row in tidy_rows(table.results, Same):
        settings, row["settings"] = row["settings"], None
        try:
            values = _encoded(row)
        except ValueError:  # a number that is none
            values = _encoded(plain(row))
        values = values.replace('"settings": null', f'"settings": {_indented(settings)}', 1)  # a text's " is escaped
        yield f"{before}  {{\n    {values[1:-1]}\n  }}"
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


@functools.lru_cache(maxsize=1 << 12)
def _indented(settings: Same[Mapping[str, Any]]) -> str:
    text = json.dumps(plain(settings.value), indent=2, ensure_ascii=False, allow_nan=False)
    return text.replace("\n", "\n    ")


def tidy_rows(
    results: Iterable[Result], settings: Callable[[Mapping[str, Any]], Any] = lambda x: x
) -> Iterator[dict[str, Any]]:
    """One row per metric (one without a metric for a failed task), with the keys of COLUMNS in their order.

    settings: from a record's settings to what stands in its rows.
    """
    known = list(results)
    labels = variants(known)
    for result in known:
        yield from _rows(result, labels.label(result), settings(result.task.settings))


def _rows(result: Result, variant: str, settings: Any) -> Iterator[dict[str, Any]]:
    task, model, data = result.task, result.model, result.dataset
    about = (model.name, model.spec, task.name, variant, task.protocol, task.version, settings, data.name)
    run = (result.seed, result.limit, model.precision, model.fingerprint, data.fingerprint, result.status, result.error)
    of_record = dict(zip(OF_RECORD, (*about, data.split), strict=True))
    of_run = dict(zip(OF_RUN, run, strict=True)) | _cost(result.efficiency)
    if not result.metrics:
        yield of_record | dict.fromkeys(OF_METRIC) | of_run
    for metric in result.metrics:
        named = (metric.name, metric.name == result.primary_metric, metric.value, metric.unit, metric.higher_is_better)
        counted = (*(metric.ci95 or (None, None)), metric.num_scored, metric.num_unscored)
        yield of_record | dict(zip(OF_METRIC, (*named, *counted), strict=True)) | of_run


def _cost(efficiency: Efficiency | None) -> dict[str, Any]:
    if efficiency is None:
        return dict.fromkeys(OF_COST)
    device = efficiency.measured.device_name if efficiency.measured else None
    speed, memory = efficiency.images_per_s, efficiency.peak_memory_bytes
    values = (speed, device, efficiency.num_params, efficiency.gflops, memory, efficiency.bytes_per_embedding)
    return dict(zip(OF_COST, values, strict=True))
