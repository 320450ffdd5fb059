"""Datasets: what is read, and its fingerprint."""

from mlcd_eval.data.open import discover, find, find_docvqa, find_refer, open_dataset

__all__ = ["discover", "find", "find_docvqa", "find_refer", "open_dataset"]
