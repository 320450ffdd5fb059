"""Pages of HTML from the templates of this folder."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

PARTS = (
    *("links", "matrix", "picker", "compared", "comparison", "disagreements", "why", "task_parts"),
    *("boards", "folds", "missed", "variants", "reproduced", "baseline", "deltas", "overview", "standing"),
    *("costs", "panels", "reliability", "controls", "trainings", "examples", "many", "most_differences"),
)
"""Parts of report.html.jinja that a page need not have."""
SITE_FOLDER = "assets"


@dataclass(frozen=True)
class Asset:
    """The style or a script of all pages: inside a page that is a file of its own, and once beside the pages of a site.

    address: relative to the site's root, with a hash of the content, so that no cache gives a page another version's.
    """

    address: str
    content_type: str
    text: Markup


def page(**parts: Any) -> str:
    """A page of these parts, by their names in report.html.jinja; any of PARTS may be left out. With links it is a page
    of a site, and reads the assets from there."""
    nothing = dict.fromkeys(PARTS, ())
    return template("report.html.jinja").render(
        {**nothing, "provenance": {"entries": (), "groups": ()}, **assets(), **parts}
    )


@functools.cache
def assets() -> Mapping[str, Asset]:
    """By their names in report.html.jinja."""
    style, script = (Markup(template(name).render()) for name in ("page.css.jinja", "page.js.jinja"))  # noqa: S704 our own
    charting = _file("vendor/plot.js") + _file("charts.js")
    return {
        "style": _asset("page", "css", "text/css", style),
        "script": _asset("page", "js", "text/javascript", script),
        "charting": _asset("charts", "js", "text/javascript", charting),
    }


def _asset(name: str, ending: str, content_type: str, text: Markup) -> Asset:
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return Asset(f"{SITE_FOLDER}/{name}-{digest}.{ending}", f"{content_type}; charset=utf-8", text)


def template(name: str) -> jinja2.Template:
    """A template. The security policy of its page allows only the script and style of the page, and loads nothing."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> jinja2.Environment:
    """Kept, as templates take a while to compile."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        auto_reload=False,  # an upgrade beside a server that runs would mix two versions
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"csp_hash": _csp_hash, "file": _file}
    return environment


def _csp_hash(text: str) -> str:
    """The name of an inline script or style in a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _file(name: str) -> Markup:
    """A script or style of this folder, word for word."""
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))  # noqa: S704 our own
