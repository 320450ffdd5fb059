"""The pages of a site of records: a leaderboard, a page per task and per model, all numbers as JSON, and a feed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

from mlcd_eval.records import Result
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.frame import as_json
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.links import Links
from mlcd_eval.tables.text import shown_metric

HTML, JSON, FEED = "text/html; charset=utf-8", "application/json", "application/feed+json"
INDEX = "index.html"
NEWEST = 100
"""Records of the feed."""
LONGEST = 150
"""Bytes of a name in an address; the end of a longer one becomes a hash."""


Record = tuple[Result, "Path | None"]
"""A record and its file."""


@dataclass(frozen=True)
class Page:
    """A page before it is made. content_type: as in HTTP."""

    content_type: str
    make: Callable[[], str]


def pages(
    results: Sequence[Result],
    title: str,
    published: Sequence[str] = (),
    version: str | None = None,
    files: Sequence[Path] = (),
    apart: str | None = None,
) -> dict[str, Page]:
    """Address, relative to the site's root -> page. Addresses are made from names alone, so that they stay.

    version: of the records, for pages that look for newer ones while they are open; None for pages that stay as they
    are. files: of the records, if they were read from some. apart: as in `report`.
    """
    records = list(zip_longest(results, files))
    by_task, by_model = _grouped(records, _task_address), _grouped(records, _model_address)
    tasks = [(of_task[0][0].task.name, address) for address, of_task in sorted(by_task.items())]
    models = [(of_model[0][0].model.name, address) for address, of_model in sorted(by_model.items())]

    def page(chosen: Sequence[Record], name: str, depth: int, numbers: Sequence[str] = ()) -> Page:
        up = "../" * depth
        others = {"Models": models, "Tasks": tasks, "Data": [("JSON", "records.json"), ("feed", "feed.json")]}
        groups = {group: [(word, up + quote(address)) for word, address in links] for group, links in others.items()}
        links = Links(name, groups, home=(title, up + INDEX) if depth else None, version=version, root=up)
        places = [file for _, file in chosen if file is not None]
        of = [each for each, _ in chosen]
        return Page(HTML, partial(report, of, published=numbers, files=places, links=links, apart=apart))

    site = {INDEX: page(records, title, 0, published)}
    site |= {address: page(chosen, chosen[0][0].task.name, 1) for address, chosen in by_task.items()}
    site |= {address: page(chosen, chosen[0][0].model.name, 1) for address, chosen in by_model.items()}
    site["records.json"] = Page(JSON, partial(as_json, TableInput(results)))
    site["feed.json"] = Page(FEED, partial(feed, results, title))
    return site


def feed(results: Sequence[Result], title: str) -> str:
    """The newest records as a JSON Feed (jsonfeed.org, version 1.1)."""
    newest = sorted(results, key=lambda result: result.timing.started, reverse=True)[:NEWEST]
    items = [
        {
            "id": result.request_key(),
            "url": quote(_task_address(result)),
            "title": f"{result.model.name}, {result.task.name}",
            "content_text": f"failed: {result.error}" if result.primary is None else shown_metric(result.primary),
            "date_published": result.timing.started,
        }
        for result in newest
    ]
    head = {"version": "https://jsonfeed.org/version/1.1", "title": title, "home_page_url": INDEX}
    return json.dumps({**head, "items": items}, indent=1, ensure_ascii=False) + "\n"


def _task_address(result: Result) -> str:
    return f"tasks/{_file_name(result.task.name)}.html"


def _model_address(result: Result) -> str:
    return f"models/{_file_name(result.model.name)}.html"


def _file_name(name: str) -> str:
    """A name as one file's: without separators of folders, not hidden, and of bounded length."""
    safe = re.sub(r"[/\\\x00-\x1f]", "__", name).lstrip(".") or "_"
    if len(safe.encode()) <= LONGEST:
        return safe
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{safe.encode()[:LONGEST].decode(errors='ignore')}-{digest}"


def _grouped(records: Sequence[Record], address: Callable[[Result], str]) -> Mapping[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(address(record[0]), []).append(record)
    return groups
