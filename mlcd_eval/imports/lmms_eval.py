"""lmms-eval 0.1 to 0.6: its results, and its samples scored by our metrics.

Its refcoco tasks are of captions and boxes, so none of them is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlcd_eval.imports.answers import CHARTQA, DOCVQA, INFOVQA, TEXTVQA
from mlcd_eval.imports.imported_task import ImportedTask
from mlcd_eval.imports.lm_eval import is_of_lmms_eval
from mlcd_eval.imports.lm_results import Known, OurTask, Unit, read_results
from mlcd_eval.imports.source import Source
from mlcd_eval.spec import TaskIndex

KNOWN = Known(
    tasks={
        "docvqa_val": OurTask(DOCVQA, {"anls": DOCVQA.reported}),
        "infovqa_val": OurTask(INFOVQA, {"anls": INFOVQA.reported}),
        "chartqa": OurTask(
            CHARTQA,
            {
                "relaxed_overall": CHARTQA.reported,
                "relaxed_human_split": f"{CHARTQA.reported}_human",
                "relaxed_augmented_split": f"{CHARTQA.reported}_augmented",
            },
        ),
        "textvqa_val": OurTask(TEXTVQA, {"exact_match": TEXTVQA.reported}),
    },
    units={
        "exact_match": Unit(),
        "mmmu_acc": Unit(),
        "mme_perception_score": Unit("points", 2000),
        "mme_percetion_score": Unit("points", 2000),  # as earlier versions spell it
        "mme_cognition_score": Unit("points", 800),
    },
)
ONLY_LM_EVAL = {"lm_eval_version", "pretty_env_info", "transformers_version"}


def recognises(first: Mapping[str, Any], stem: str) -> bool:
    """Whether lmms-eval may have written this; of what it shares with lm-eval only where that has left no mark."""
    return isinstance(first.get("results"), dict) and (is_of_lmms_eval(first) or not ONLY_LM_EVAL & first.keys())


def read(sources: Sequence[Source], index: TaskIndex) -> Iterator[ImportedTask]:
    """One task per task of each results file."""
    yield from read_results(sources, KNOWN)
