"""Two models on the same samples."""
