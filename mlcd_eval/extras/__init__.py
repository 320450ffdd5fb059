"""Models that need a package of their own and serve as examples of `--model python:MODULE:FACTORY`."""
