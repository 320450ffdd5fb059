"""Real clusters on one machine, and what goes wrong on them: `make test-cluster`."""
