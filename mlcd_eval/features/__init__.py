"""Features and predictions: computed once, stored, and shared by all tasks."""
