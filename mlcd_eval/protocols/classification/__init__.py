"""Protocols for labelled images: kNN, linear probe, zero-shot."""
