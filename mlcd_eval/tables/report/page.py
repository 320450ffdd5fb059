"""Pages of HTML from the templates of this folder."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(
        ("links", "matrix", "picker", "comparison", "why", "baseline", "overview", "reliability", "controls")
    ),
    **dict.fromkeys(("standing", "variants", "reproduced", "many", "most_differences")),
    **dict.fromkeys(
        (
            "compared",
            "disagreements",
            "task_parts",
            "boards",
            "folds",
            "missed",
            "deltas",
            "panels",
            "trainings",
            "examples",
        ),
        (),
    ),
    "provenance": {"entries": (), "groups": ()},
}
"""The parts of a page that need not be there."""


def page(**parts: Any) -> str:
    """A page of these parts, by their names in report.html.jinja; one of NOTHING may be left out."""
    return template("report.html.jinja").render({**NOTHING, **parts})


def template(name: str) -> jinja2.Template:
    """A template. The security policy of its page allows only the script and style of the page, and loads nothing."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> jinja2.Environment:
    """Kept, as templates take a while to compile."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
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
