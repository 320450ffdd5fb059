"""Files, processes, progress and devices, for every other part. Nothing here knows about models, data or tasks."""
