"""Mutation testing: how many small changes of the code the tests notice. `python -m benchmarks.mutants --help`."""
