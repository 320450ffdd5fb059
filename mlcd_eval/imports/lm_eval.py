"""lm-eval 0.4. It ships none of our tasks: its own become tasks under its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.imports.imported_task import ImportedTask
from mlcd_eval.imports.lm_results import Known, Unit, read_results
from mlcd_eval.imports.source import Source, as_dict
from mlcd_eval.spec import TaskIndex

KNOWN = Known(units={"acc": Unit(), "acc_norm": Unit(), "exact_match": Unit()})
"""Its means of 0 and 1; those of user's tasks under the same names are checked by their range."""


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Whether lm-eval may have written this; of what it shares with lmms-eval only where that has left no mark."""
    return isinstance(first.get("results"), dict) and not is_of_lmms_eval(first)


def is_of_lmms_eval(run: Mapping[str, Any]) -> bool:
    """Whether a results file holds what only lmms-eval writes."""
    configs = [config for config in as_dict(run.get("configs")).values() if isinstance(config, dict)]
    marks = {"doc_to_visual", "lmms_eval_specific_kwargs", "model_specific_prompt_kwargs"}
    return "lmms_eval_version" in run or "model_configs" in run or any(marks & config.keys() for config in configs)


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per task of each results file."""
    yield from read_results(sources, KNOWN)
