"""Files, archives and encodings that data schemes read."""
