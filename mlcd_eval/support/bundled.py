"""Where the shipped files are: inside the package in an installed wheel, beside pyproject.toml in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def _shipped(name: str) -> Path:
    installed = _PACKAGE / "_bundled" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def tasks_dir() -> Path:
    """Return the folder of task files."""
    return _shipped("tasks")


def published_dir() -> Path:
    """Return the folder of published numbers."""
    return _shipped("results/published")


def demo_data_dir() -> Path:
    """Return the folder of bundled data sets, which is a data root like any other."""
    return _PACKAGE / "demo_data"


def demo_model_dir() -> Path:
    """Return the bundled model's checkpoint folder, with what it was trained on and how."""
    return _PACKAGE / "demo_model"
