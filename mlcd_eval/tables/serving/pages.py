"""The pages of a site of records: a leaderboard, a page per task and per model, what they share, all numbers as JSON,
and a feed."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

from mlcd_eval.records import Result
from mlcd_eval.tables.comparison.contest import contests
from mlcd_eval.tables.comparison.overall import overall
from mlcd_eval.tables.comparison.pairing import sides
from mlcd_eval.tables.formats import render
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.links import Links
from mlcd_eval.tables.report.page import assets
from mlcd_eval.tables.report.two_models import Picker, page_of_pair, pairs
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
    most_tests: int | None = None,
) -> dict[str, Page]:
    """Address, relative to the site's root -> page. Addresses are made from names alone, so that they stay.

    version: of the records, for pages that look for newer ones while they are open; None for pages that stay as they
    are. files: of the records, if they were read from some. apart: as in `report`. most_tests:
    of the pages of two models, those of the best models by rank; None for all pairs.
    """
    records = list(zip_longest(results, files))
    by_task, by_model = _grouped(records, _task_address), _grouped(records, _model_address)
    tasks = [(of_task[0][0].task.name, address) for address, of_task in sorted(by_task.items())]
    models = [(of_model[0][0].model.name, address) for address, of_model in sorted(by_model.items())]

    known = sides(results, files) if files else {}
    best = _by_rank(results) if most_tests is not None else [name for name, _ in models]
    compared = {pair: _pair_address(*pair) for pair in map(_sorted, pairs(known, best, most_tests))}

    def links(name: str, up: str) -> Links:
        of_model = {_other(pair, name): address for pair, address in compared.items() if name in pair}
        others = {
            "Compared with": sorted(of_model.items()) if up else [],
            "Models": models,
            "Tasks": tasks,
            "Data": [("JSON", "records.json"), ("feed", "feed.json")],
        }
        groups = {group: [(word, up + quote(address)) for word, address in named] for group, named in others.items()}
        return Links(name, groups, home=(title, up + INDEX) if up else None, version=version, root=up)

    def page(chosen: Sequence[Record], name: str, up: str, numbers: Sequence[str] = ()) -> Page:
        addresses = {pair: up + quote(address) for pair, address in compared.items()}
        picker = Picker([model for model, _ in models], addresses) if compared and not up else None
        of, places = [each for each, _ in chosen], [file for _, file in chosen if file is not None]
        about = partial(report, of, published=numbers, files=places, apart=apart, picks=picker)
        return Page(HTML, partial(about, links=links(name, up)))

    site = {INDEX: page(records, title, "", published)}
    site |= {address: page(chosen, chosen[0][0].task.name, "../") for address, chosen in by_task.items()}
    site |= {address: page(chosen, chosen[0][0].model.name, "../") for address, chosen in by_model.items()}
    for (a, b), address in compared.items():
        site[address] = Page(HTML, partial(page_of_pair, known[a], known[b], links(f"{a} and {b}", "../../")))
    site["records.json"] = Page(JSON, partial(render, results, "json"))
    site["feed.json"] = Page(FEED, partial(feed, results, title))
    shared = {asset.address: Page(asset.content_type, partial(str, asset.text)) for asset in assets().values()}
    return shared | site  # in the order in which they are written: no page is there before what it reads


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


def _by_rank(results: Sequence[Result]) -> list[str]:
    """All models, the best first, those that lack tasks last."""
    standing = overall(contests(results))
    ranks = {model: each.rank for model, each in standing.models.items()} if standing else {}
    return sorted({result.model.name for result in results}, key=lambda model: (ranks.get(model, math.inf), model))


def _sorted(pair: tuple[str, str]) -> tuple[str, str]:
    """The pair in the order of names, so that its address stays when ranks change."""
    a, b = sorted(pair)
    return a, b


def _other(pair: tuple[str, str], name: str) -> str:
    return pair[1] if pair[0] == name else pair[0]


def _pair_address(a: str, b: str) -> str:
    return f"compare/{_file_name(a)}/{_file_name(b)}.html"


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
