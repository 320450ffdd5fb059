"""What ties a page to the other pages of its site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Links:
    """title: of the page. groups: heading -> (name, address) of other pages. home: name and address of the site's first
    page, None on it. version: of the records that the page shows; where it is not None, the page asks `root`version
    every few seconds whether it has changed, and offers to be loaded again."""

    title: str
    groups: Mapping[str, Sequence[tuple[str, str]]]
    home: tuple[str, str] | None = None
    version: str | None = None
    root: str = ""
