"""`mlcd-eval rerun`: repeat the request of a record, and say what differs."""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.support.needs import require_torch

if TYPE_CHECKING:
    from mlcd_eval.running.rerun import Rerun


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "rerun",
        help="repeat the request of a record, and say what differs",
        description="Repeat the request of a record from its data and model, without stored features, and say which "
        "numbers and versions differ. Exit code 0: equal numbers; 1: others.",
    )
    add = parser.add_argument
    add("record", type=Path, metavar="RECORD", help="a record that run or score wrote")
    add("--output", type=Path, metavar="DIR", help="keep the new record here (default: it is not kept)")
    add("--cache", type=Path, metavar="DIR", help="feature store (default: an empty one, so that images are encoded)")
    add_repeat_flags(parser)
    parser.set_defaults(run=run)


def add_repeat_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of commands that repeat a record's request on this machine."""
    add = parser.add_argument
    add("--data-root", type=Path, metavar="DIR", help="where the data is on this machine")
    add("--device", choices=("auto", "cpu", "cuda"), help="instead of the record's")
    add("--trust-remote-code", action="store_true", help="run code that the record names (python: and remote code)")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what differs. Return 0 for equal numbers, 1 for others."""
    require_torch()
    from mlcd_eval.running.rerun import rerun
    from mlcd_eval.support.progress import ConsoleProgress

    given = {name: getattr(args, name) for name in ("output", "cache", "data_root", "device")}
    with _folders({name: value for name, value in given.items() if value is not None}) as changes:
        outcome = rerun(args.record, changes, allow_code=args.trust_remote_code, progress=ConsoleProgress())
    if args.json:
        parts = {"numbers": outcome.numbers, "identity": outcome.identity, "environment": outcome.environment}
        print(json.dumps({"record": str(args.record), "equal": not outcome.numbers, **parts}, indent=2))
    else:
        _show(outcome)
    return 1 if outcome.numbers else 0


@contextlib.contextmanager
def _folders(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the changes with temporary folders where none are given."""
    with tempfile.TemporaryDirectory(prefix="mlcd-eval-rerun-") as folder:
        yield {"output": Path(folder) / "records", "cache": Path(folder) / "cache", **given}


def _show(outcome: Rerun) -> None:
    before = outcome.before
    title = f"{before.model.name} {before.task.name}"
    if outcome.numbers:
        print(f"{title}: {len(outcome.numbers)} of {len(before.metrics)} numbers differ")
    else:
        print(f"{title}: equal numbers ({len(before.metrics)} metrics)")
    for part, differences in (
        ("number", outcome.numbers),
        ("identity", outcome.identity),
        ("environment", outcome.environment),
    ):
        for name, (was, is_now) in differences.items():
            if isinstance(was, Mapping) and isinstance(is_now, Mapping):
                keys = [key for key in was if was[key] != is_now[key]]
                was, is_now = ({key: side[key] for key in keys} for side in (was, is_now))
            print(f"{part} {name}: {_text(was)} -> {_text(is_now)}")
    if not outcome.environment:
        print("environment: the same")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return "none" if value is None else str(value)
