"""Encode once, keep, share."""
