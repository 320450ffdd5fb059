"""A CUDA device that is not there: tests run whole commands on it, in processes of their own (README.md)."""
