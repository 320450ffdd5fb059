"""Files of data sets, tasks and suites: what they may say, how they are read, which tasks a word picks."""

from mlcd_eval.spec.index import GLOB_MARKS, SUFFIXES, VARIANT, TaskIndex, read_spec, spec_files
from mlcd_eval.spec.task import DatasetSpec, SuiteSpec, TaskSpec
from mlcd_eval.spec.validated import validated

__all__ = [
    "GLOB_MARKS",
    "SUFFIXES",
    "VARIANT",
    "DatasetSpec",
    "SuiteSpec",
    "TaskIndex",
    "TaskSpec",
    "read_spec",
    "spec_files",
    "validated",
]
