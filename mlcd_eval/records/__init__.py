"""Records: results on disk."""

from mlcd_eval.records.outcomes import Outcomes, read_outcomes
from mlcd_eval.records.result import DatasetRecord, ModelRecord, RequestRecord, Result, TaskRecord, Timing
from mlcd_eval.records.store import ResultStore, read, read_all, read_files, record_files, record_path

__all__ = [
    "DatasetRecord",
    "ModelRecord",
    "Outcomes",
    "RequestRecord",
    "Result",
    "ResultStore",
    "TaskRecord",
    "Timing",
    "read",
    "read_all",
    "read_files",
    "read_outcomes",
    "record_files",
    "record_path",
]
