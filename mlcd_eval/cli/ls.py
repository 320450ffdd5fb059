"""`mlcd-eval ls`: what there is to run, and to compare with."""

from __future__ import annotations

import argparse
import fnmatch
import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mlcd_eval.cli import published
from mlcd_eval.cli.columns import print_columns
from mlcd_eval.errors import ConfigError, nearest

if TYPE_CHECKING:
    from mlcd_eval.data.scheme import SchemeOption

Rows = list[dict[str, Any]]

SCREEN, FORM = 100, 31  # characters of a line of an overview, and of its first column


class _List(NamedTuple):
    """columns: those of the plain form. overview: lines that fit a screen, printed instead of all rows if no pattern is
    given. groups: whether names are GROUP/NAME, which --group prints by group."""

    rows: Callable[[], Rows]
    columns: tuple[str, ...]
    help: str
    overview: Callable[[], list[str]] | None = None
    groups: bool = False


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("ls", help="list tasks, suites, datasets, dialects, models or published numbers")
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for kind, listing in LISTS.items():
        parser_of_kind = kinds.add_parser(kind, help=listing.help)
        parser_of_kind.add_argument("--json", action="store_true", help="print JSON, with all that is known")
        if listing.groups:
            parser_of_kind.add_argument("--group", action="store_true", help="names only, grouped by protocol")
        parser_of_kind.add_argument("pattern", nargs="?", metavar="PATTERN", help="glob on the names; '*' for all")
        parser_of_kind.set_defaults(run=run)
    published.add_parser(kinds)


def run(args: argparse.Namespace) -> int:
    """Print one line per entry, or JSON. Raises ConfigError if no name matches."""
    listing, pattern = LISTS[args.what], args.pattern or "*"
    if listing.overview is not None and args.pattern is None and not args.json:
        print("\n".join(listing.overview()))
        return 0
    all_rows = listing.rows()
    rows = [row for row in all_rows if fnmatch.fnmatchcase(row["name"], pattern)]
    if not rows:
        names = [row["name"] for row in all_rows]
        raise ConfigError(f"ls {args.what}: no name matches {pattern!r}{nearest(pattern, names)}")
    if listing.groups and args.group:
        groups = _grouped([row["name"] for row in rows])
        print(json.dumps(groups, indent=2) if args.json else "\n".join(_lines_of(groups)))
        return 0
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    print_columns([str(row[column]) for column in listing.columns] for row in rows)
    return 0


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Return group -> the ends of its names, both in alphabetical order."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        group, _, end = name.partition("/")
        groups.setdefault(group, []).append(end)
    return groups


def _lines_of(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a heading for each group, with its size, and its names beside it or, in lines of a screen, below it."""
    lines = []
    for group, names in groups.items():
        heading, text = f"{group} ({len(names)})", "  ".join(names)
        if len(heading) + 2 + len(text) <= SCREEN:
            lines.append(f"{heading}  {text}")
        else:
            wrapped = textwrap.wrap(text, SCREEN - 2, break_on_hyphens=False)
            lines += [heading, *(f"  {line}" for line in wrapped)]
    return lines


def _tasks() -> Rows:
    from mlcd_eval.spec import TaskIndex

    return [task.model_dump(mode="json") for task in TaskIndex.load().tasks.values()]


def _suites() -> Rows:
    from mlcd_eval.spec import TaskIndex

    index = TaskIndex.load()
    rows = []
    for suite in index.suites.values():
        tasks = [task.name for task in index.select([suite.name])]
        size = f"{len(tasks)} tasks"
        rows.append({"name": suite.name, "size": size, "description": suite.description, "tasks": tasks})
    return rows


def _datasets() -> Rows:
    """Return one row per form of --dataset, then one per known data set with what its tasks say of it; the source is
    where its files come from by default."""
    from mlcd_eval.data.kinds import SCHEMES
    from mlcd_eval.spec import TaskIndex

    schemes = [
        {
            "name": scheme.form,
            "kind": "|".join(scheme.kinds),
            "source": "; ".join([scheme.help, *([f"options {_names(scheme.options)}"] if scheme.options else [])]),
            "options": {option.name: option.help for option in scheme.options},
            "extra": scheme.extra,
        }
        for scheme in map(SCHEMES.__getitem__, SCHEMES)
    ]
    rows: dict[str, dict[str, Any]] = {}
    for task in TaskIndex.load().tasks.values():
        data = task.dataset
        source = data.hub or data.ref or ("bundled" if "demo" in task.tags else f"yours: {data.how}")
        row = rows.setdefault(data.name, {"name": data.name, "kind": data.kind, "source": source, "tasks": {}})
        facts = {"source": source, "revision": data.revision, "sizes": dict(data.sizes), "notes": data.notes}
        row["tasks"][task.name] = facts
    return schemes + [rows[name] for name in sorted(rows)]


def _dialects() -> Rows:
    """Return a row per dialect of each protocol."""
    from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol

    return [
        {
            "name": f"{protocol.name}/{name}",
            "choose": f"--set dialect={name}",
            "settings": protocol.Settings.model_validate(dialect.settings).model_dump(
                mode="json", include=set(dialect.settings)
            ),
            "source": dialect.source,
            "differs": dialect.differs,
        }
        for protocol in map(get_protocol, PROTOCOLS)
        for name, dialect in protocol.dialects.items()
    ]


def _names(options: Iterable[SchemeOption]) -> str:
    return ", ".join(option.name for option in options)


def _models() -> Rows:
    """Return forms and options of every kind, kinds of other packages by name alone, and then the architectures."""
    from mlcd_eval.encoders.kinds import KINDS

    forms, architectures = [], []
    for name in KINDS:
        package = KINDS.package(name)
        if package is not None:
            forms.append({"name": f"{name}:", "description": f"added by the package {package}"})
            continue
        kind = KINDS[name]
        forms += [{"name": form, "description": text} for form, text in kind.forms.items()]
        for option in kind.options:
            forms.append({"name": f"{name}:...?{option.name}={option.metavar}", "description": option.help})
        description = f"architecture of {kind.package}"
        architectures += [{"name": f"{name}:{target}", "description": description} for target in kind.architectures()]
    return forms + architectures


def _models_overview() -> list[str]:
    """Return one line per form, the options of its kind, and how many architectures are listed by name."""
    from mlcd_eval.encoders.kinds import KINDS

    lines, counts = [], []
    for name in KINDS:
        package = KINDS.package(name)
        if package is not None:
            lines.append(_line(f"{name}:...", f"added by the package {package}"))
            continue
        kind = KINDS[name]
        lines += [_line(form, text) for form, text in kind.forms.items()]
        options = ", ".join(f"{option.name}={option.metavar}" for option in kind.options)
        if options:
            lines.append(_line("", f"options: {options}"))
        if architectures := kind.architectures():
            counts.append(f"{len(architectures)} architectures: mlcd-eval ls models '{name}:*'")
    return [*lines, "", "what an option means: mlcd-eval ls models 'KIND:...*'", *counts]


def _line(name: str, text: str) -> str:
    return f"{name:{FORM}}  {textwrap.shorten(text, SCREEN - FORM - 2, placeholder=' ...')}"


LISTS = {
    "tasks": _List(_tasks, ("name", "description"), "tasks by name", groups=True),
    "suites": _List(_suites, ("name", "size", "description"), "named lists of tasks"),
    "datasets": _List(_datasets, ("name", "kind", "source"), "forms of --dataset, and known data sets"),
    "dialects": _List(_dialects, ("name", "source"), "how other sources measure what a protocol does (--set dialect=)"),
    "models": _List(_models, ("name", "description"), "forms of --model, and architectures by name", _models_overview),
}
