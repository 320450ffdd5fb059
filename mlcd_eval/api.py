"""`evaluate`, the Python equivalent of `mlcd-eval run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.errors import ConfigError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.records import Result
from mlcd_eval.request import RunRequest
from mlcd_eval.running.run import run
from mlcd_eval.spec import validated
from mlcd_eval.support.progress import make_progress

Name = str | Path
_AUTO = (("batch_size", "auto"), ("workers", "auto"))  # RunRequest writes these as None


def evaluate(
    model: Name | Sequence[Name], tasks: Name | Sequence[Name], *, progress: bool = False, **options: Any
) -> list[Result]:
    """Run tasks on one or more models and return the records.

    progress: show on stderr how far it is, as the command line does. `options` are the other fields of `RunRequest`;
    `datasets` may be a single string, and `batch_size` and `workers` may be "auto". A task that fails gives a Result of
    status "error", and the other tasks still run.
    Raises UserError if the request is wrong, before any image is encoded.
    """
    models = [model] if isinstance(model, str | Path) or not isinstance(model, Sequence) else model
    for spec in models:
        if not isinstance(spec, str | Path):
            raise ConfigError(
                f"evaluate: model is a {type(spec).__name__}, expected a spec such as 'hf:PATH', or "
                f"'python:FILE.py:FACTORY' for a function that returns an encoder"
            )
    words = tasks.split(",") if isinstance(tasks, str) else [tasks] if isinstance(tasks, Path) else tasks
    options = {key: value for key, value in options.items() if (key, value) not in _AUTO}
    if isinstance(options.get("datasets"), str):
        options["datasets"] = [options["datasets"]]
    fields = {"models": [str(spec) for spec in models], "tasks": [str(word) for word in words], **options}
    shown = make_progress("normal" if progress else "quiet")
    return list(run(make_plan(validated(RunRequest, fields, "evaluate")), shown))
