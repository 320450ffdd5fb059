"""One module for each data scheme."""
