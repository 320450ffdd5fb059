"""Retrieval of images by images of the same thing."""
