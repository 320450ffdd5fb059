"""Writers of metrics to experiment trackers: one file and one row of registry.py each."""
