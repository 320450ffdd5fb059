"""The MLCD trainer."""
