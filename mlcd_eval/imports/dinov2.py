"""DINOv2's results_eval_linear.json (eval/linear.py, `evaluate_linear_classifiers`).

It is no JSON but a log: after `iter: N` a line `{"best_classifier": {"name": ..., "accuracy": ...}}`, for every
evaluation during the training. The accuracy is a fraction, of the head that is best on the scored data. The file names
neither the model (expected: --name) nor the data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.errors import DataError
from mlcd_eval.imports.imported_task import ImportedTask, foreign_task
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.imports.values import UNKNOWN, fraction
from mlcd_eval.metrics.base import Metric
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.documents import parse_json

BEST = "best_classifier"


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Never: the whole of such a file is no JSON."""
    return False


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per file: the result of the last iteration."""
    for source in sources:
        results = _results(source)
        last = results[-1][0]
        of_last = [best for iteration, best in results if iteration == last]
        if len(of_last) > 1:
            raise DataError(
                f"{source.path} holds {len(of_last)} results of iteration {last} and does not say of which data: "
                f"expected one"
            )
        best = of_last[0]
        value = fraction(f"{source.path}: accuracy of iteration {last}", best.get("accuracy"))
        yield ImportedTask(
            source=source,
            model="",
            task=foreign_task("dinov2", "linear"),
            dataset=UNKNOWN,
            metrics=(Metric(name="accuracy", value=value, num_scored=None),),
            primary="accuracy",
            settings={"iterations": last},
            theirs={BEST: dict(best), "evaluations": len(results)},
        )


def _results(source: Source) -> list[tuple[int, dict[str, Any]]]:
    """(iteration, best classifier) of every evaluation; raises DataError for a file that is no such log."""
    results: list[tuple[int, dict[str, Any]]] = []
    iteration = None
    for line in source.text().splitlines():
        if match := re.fullmatch(r"iter: (\d+)", line.strip()):
            iteration = int(match[1])
        elif iteration is not None and (best := _best(line)):
            results.append((iteration, best))
    if not results:
        raise DataError(
            f'{source.path} is not a result file of dinov2: expected lines `iter: N` and `{{"{BEST}": ...}}`'
        )
    return results


def _best(line: str) -> dict[str, Any]:
    """The best classifier of a line, empty for any other line."""
    try:
        return as_dict(as_dict(parse_json(line)).get(BEST))
    except ValueError:
        return {}
