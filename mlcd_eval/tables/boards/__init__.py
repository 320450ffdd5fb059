"""Leaderboards, and how they look as text."""
