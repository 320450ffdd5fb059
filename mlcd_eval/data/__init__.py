"""Datasets: what is read, and its fingerprint."""

from mlcd_eval.data.open import open_dataset

__all__ = ["open_dataset"]
