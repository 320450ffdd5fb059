"""Result files of other harnesses as our records: one module per harness, listed in `registry`."""
