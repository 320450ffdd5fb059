"""Datasets: what is read, and its fingerprint."""

from mlcd_eval.data.open import discover, find, open_dataset

__all__ = ["discover", "find", "open_dataset"]
