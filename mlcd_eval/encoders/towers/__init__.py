"""The networks of this project's own checkpoints."""
