"""Datasets: what is read, and its fingerprint."""

from mlcd_eval.data.old import find, find_docvqa, find_refer
from mlcd_eval.data.open import discover, open_dataset

__all__ = ["discover", "find", "find_docvqa", "find_refer", "open_dataset"]
