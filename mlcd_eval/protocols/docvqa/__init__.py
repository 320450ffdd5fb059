"""Answering questions about page images."""
