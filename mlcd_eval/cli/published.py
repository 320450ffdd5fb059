"""`mlcd-eval ls published`: the tables of published numbers, and the numbers themselves."""

from __future__ import annotations

import argparse
import fnmatch
import functools
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlcd_eval.cli.columns import print_columns
from mlcd_eval.errors import ConfigError, nearest

if TYPE_CHECKING:
    from mlcd_eval.tables.published import Dialect, PublishedNumber
    from mlcd_eval.tables.published.models import Model

FIELDS = (
    "group",
    "model",
    "pretraining",
    "architecture",
    "source",
    "task",
    "protocol",
    "dataset",
    "column",
    "metric",
    "unit",
    "decimals",
    "chance",
    "higher_is_better",
    "table",
    "setting",
    "paper",
    "paper_url",
    "paper_date",
    "commit",
    "licence",
)
"""What --json says of a number beside its label, value, experiments, dialect and model."""


def add_parser(kinds: Any) -> None:
    """Register `published` among the things that `ls` lists."""
    parser = kinds.add_parser("published", help="tables of published numbers, and the numbers")
    parser.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="glob on the names of the tables")
    parser.add_argument("--model", metavar="NAME", help="the numbers of models whose names hold NAME, or match a glob")
    parser.add_argument("--task", metavar="TASK", help="the numbers of a task, such as zeroshot/imagenet, or a glob")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--count", action="store_true", help="print how many numbers there are")
    how.add_argument("--json", action="store_true", help="print the numbers as JSON, with all that is known of each")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables; with --model or --task their numbers; with --json or --count those or their number.

    Raises ConfigError where no table, model, task or number matches.
    """
    from mlcd_eval.tables.published import select, tables

    groups = [name for name in tables() if fnmatch.fnmatchcase(name, args.pattern)]
    if not groups:
        raise ConfigError(
            f"ls published: no table's name matches {args.pattern!r}{nearest(args.pattern, list(tables()))}"
        )
    filtered = args.model is not None or args.task is not None
    if args.count and not filtered:
        print(sum(tables()[group].size for group in groups))
    elif args.count:
        print(sum(1 for _ in select(args.model, args.task, groups)))
    elif args.json:
        print_json(select(args.model, args.task, groups))
    elif filtered:
        print_columns(map(_cells, select(args.model, args.task, groups)))
    else:
        print_columns([_table(group) for group in groups])
    return 0


def _table(group: str) -> list[str]:
    from mlcd_eval.tables.published import tables

    table = tables()[group]
    return [group, f"{table.size} numbers", f"{table.table} ({table.printed_in})"]


def _cells(number: PublishedNumber) -> list[str]:
    unit = {"fraction": "", "percent": ""}.get(number.unit, f" {number.unit}")
    decimals = max(number.decimals - 2, 0) if number.unit == "fraction" else number.decimals
    value = number.value * 100 if number.unit == "fraction" else number.value
    dialect = number.dialect.text or "dialect not stated"
    return [number.label, number.place, number.metric, f"{value:.{decimals}f}{unit}", number.group, dialect]


def print_json(numbers: Iterable[PublishedNumber]) -> None:
    """Print a list with one number per line."""
    separator = "["
    for number in numbers:
        sys.stdout.write(separator + as_json(number))
        separator = ",\n"
    sys.stdout.write("]\n")


def as_json(number: PublishedNumber) -> str:
    """All that is known of a number as a JSON object; what is not known is null."""
    values = {name: getattr(number, name) for name in FIELDS} | {
        "label": number.label,
        "value": number.value,
        "experiments": number.experiments,
    }
    return f"{_dump(values)[:-1]},{_shared(number.dialect, number.identity)}}}"


@functools.cache
def _shared(dialect: Dialect, model: Model | None) -> str:
    """The members that many numbers share."""
    sizes = {name: getattr(model, name, None) for name in ("key", "hub", "params_m", "gflops")}
    return f'"dialect":{_dump(asdict(dialect))},"identity":{_dump(sizes if model else None)}'


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
