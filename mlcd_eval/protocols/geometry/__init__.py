"""Depth and surface normals of pixels from patch features."""
