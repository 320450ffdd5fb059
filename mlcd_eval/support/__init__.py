"""What every part stands on: files, processes, progress, devices. Knows nothing of models, data or tasks."""
