"""Dialects beside the packages whose numbers they reproduce, on one model and the same data."""
