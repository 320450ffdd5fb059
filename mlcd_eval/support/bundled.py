"""Where the shipped files are: in an installed wheel inside the package, in a checkout beside pyproject.toml."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def _shipped(name: str) -> Path:
    installed = _PACKAGE / "_bundled" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def tasks_dir() -> Path:
    """The task files."""
    return _shipped("tasks")


def published_dir() -> Path:
    """The published numbers."""
    return _shipped("results/published")


def demo_data_dir() -> Path:
    """The bundled data sets, a data root like any other."""
    return _PACKAGE / "demo_data"
