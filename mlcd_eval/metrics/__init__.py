"""Metrics: pure functions of arrays, and the table that says what is known about each."""
