"""Points of one image, found in another one by patch features."""
