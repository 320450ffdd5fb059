"""The harnesses whose files are read: one row each. Light: the command line lists them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from mlcd_eval.support.registry import Registry


@dataclass(frozen=True)
class Harness:
    """One other harness.

    module: has `read(sources, index)`, which yields an `ImportedTask` per task of a model, and
    `recognises(first, stem)`, whether it may have written a file of that name whose first row or object is `first`.
    files: what is taken. version: of the harness' format, as far as it is known. folders: whether a folder means the
    JSON files below it.
    """

    module: str
    files: str
    version: str
    folders: bool = False

    def reader(self) -> ModuleType:
        """The module, imported now."""
        return import_module(self.module)


HARNESSES: Registry[Harness] = Registry(
    "harness",
    "mlcd_eval.imports",
    {
        "clip-benchmark": Harness(
            "mlcd_eval.imports.clip_benchmark",
            "JSON of `clip_benchmark eval`, CSV of `clip_benchmark build`; probe_benchmark's JSON, or a CSV with a row "
            "per linear probe",
            "1.6",
        ),
        "open_clip": Harness(
            "mlcd_eval.imports.open_clip",
            "docs/openclip_results.csv, openclip_retrieval_results.csv, openclip_multilingual_retrieval_results.csv",
            "at 89fb801f, 2026-06-27",
        ),
        "lm-eval": Harness(
            "mlcd_eval.imports.lm_eval",
            "results_<date>.json, with samples_<task>_<date>.jsonl for the number of samples",
            "0.4",
        ),
        "lmms-eval": Harness(
            "mlcd_eval.imports.lmms_eval",
            "<date>_results.json, with <date>_samples_<task>.jsonl to score the answers by our metrics",
            "0.1 to 0.6",
        ),
        "vlmevalkit": Harness(
            "mlcd_eval.imports.vlmevalkit",
            "<model>_<dataset>_acc.csv and _score.csv or .json; answers <model>_<dataset>.xlsx, .tsv or .json",
            "at c03bc048",
        ),
        "mteb": Harness(
            "mlcd_eval.imports.mteb",
            "<task>.json with model_meta.json beside it, or a folder of them",
            "1.14 to 2.18",
            folders=True,
        ),
        "mlcd-seg": Harness(
            "mlcd_eval.imports.mlcd_seg",
            "result.jsonl and eval_dataset.json of MLCD-Seg's evaluation",
            "at ae714112",
        ),
        "dinov2": Harness(
            "mlcd_eval.imports.dinov2",
            "results_eval_linear.json of dinov2/eval/linear.py",
            "2023; DINOv3 where it writes the same",
        ),
    },
)
"""Name -> row."""
