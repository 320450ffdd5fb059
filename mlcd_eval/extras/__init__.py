"""Models that need an extra package, which also serve as examples of `--model python:MODULE:FACTORY`."""
