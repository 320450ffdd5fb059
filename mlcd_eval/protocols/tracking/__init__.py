"""Objects of a clip's first frame, followed through the others by patch features."""
