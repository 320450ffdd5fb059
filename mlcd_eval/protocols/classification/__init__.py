"""Protocols on labelled images: kNN, linear probe, zero-shot."""
