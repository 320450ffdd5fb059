"""Task files."""

from mlcd_eval.spec.index import GLOB_MARKS, TaskIndex
from mlcd_eval.spec.task import DatasetSpec, SuiteSpec, TaskSpec, validated

__all__ = ["GLOB_MARKS", "DatasetSpec", "SuiteSpec", "TaskIndex", "TaskSpec", "validated"]
