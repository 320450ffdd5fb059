"""The published numbers of a group as rows."""

from pathlib import Path

from mlcd_eval.support.bundled import published_dir
from mlcd_eval.tables.published import published_numbers
from mlcd_eval.tables.published.number import PublishedNumber

ATLAS = published_dir() / "atlas"
ROOT = Path(__file__).parents[1]


def rows(group: str) -> dict[str, dict[str, PublishedNumber]]:
    """Label -> column -> number."""
    by_label: dict[str, dict[str, PublishedNumber]] = {}
    for number in published_numbers(group):
        by_label.setdefault(number.label, {})[number.column] = number
    return by_label
