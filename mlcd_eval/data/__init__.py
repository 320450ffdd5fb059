"""Datasets: what is read, and its fingerprint."""
