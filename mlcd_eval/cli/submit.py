"""`mlcd-eval submit`: records in the form that a leaderboard or registry accepts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlcd_eval.tables.submissions.receivers import Receiver
    from mlcd_eval.tables.submissions.submission import Submission

OPTIONS = {
    "paper": ("URL", "where the numbers are published"),
    "paper-title": ("TITLE", "its title"),
    "paper-date": ("YYYY-MM-DD", "its date (default: the record's)"),
    "code": ("URL", "code or weights"),
    "model-id": ("ORG/NAME", "the model's repository on the Hugging Face hub"),
    "organization": ("NAME", "who made the evaluation"),
    "relationship": ("WORD", "of them to the model's maker: first_party, third_party, collaborative or other"),
    "benchmark": ("ORG/NAME[@REVISION]=FILE", "a benchmark registered on the hub, and its eval.yaml"),
}
"""Flag -> its value and help; they are the fields of Options."""


class _Help(argparse.RawDescriptionHelpFormatter):
    """The help with the receivers at its end, of which those of other packages are imported only now."""

    def format_help(self) -> str:
        from mlcd_eval.tables.submissions.receivers import RECEIVERS

        rows = "".join(_about(name, RECEIVERS[name]) for name in RECEIVERS)
        return f"{super().format_help()}\nreceivers, whose rules are followed, and how the files are handed in:\n{rows}"


def _about(name: str, row: Receiver) -> str:
    needs = ", ".join(f"--{option.replace('_', '-')}" for option in row.needs)
    lines = [row.help, f"rules: {row.rules}", row.hand_in]
    return f"  {name}{f', needs {needs}' if needs else ''}\n" + "".join(f"    {line}\n" for line in lines)


def add_parser(commands: Any) -> None:
    """Register the command."""
    from mlcd_eval.tables.submissions.receivers import RECEIVERS

    parser = commands.add_parser(
        "submit",
        formatter_class=_Help,
        help="records in the form that a leaderboard or registry accepts",
        description="Records in the form that a leaderboard or registry accepts. Files are written; nothing is sent "
        "without --send. Files of the receiver that lie in the output folder get our rows and keep all else.",
    )
    add = parser.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="records, or folders of them")
    add("--to", required=True, choices=tuple(RECEIVERS), metavar="NAME", help="one of the receivers below")
    add("--output", type=Path, metavar="DIR", help="where the files go (submissions/NAME)")
    add("--allow-partial", action="store_true", help="take records of --limit, where the receiver's form can mark them")
    sending = parser.add_mutually_exclusive_group()
    sending.add_argument("--dry-run", action="store_true", help="send nothing, which is the default")
    sending.add_argument("--send", action="store_true", help="also send it, where there is a client")
    for flag, (value, text) in OPTIONS.items():
        add(f"--{flag}", metavar=value, help=text)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and show what is new in them; on stderr what is not accepted."""
    import sys

    from mlcd_eval.errors import ConfigError, DataError
    from mlcd_eval.records import read_all
    from mlcd_eval.spec import validated
    from mlcd_eval.tables.submissions.receivers import RECEIVERS, prepare, send
    from mlcd_eval.tables.submissions.submission import Options

    row = RECEIVERS[args.to]
    if args.send and row.send is None:
        raise ConfigError(f"--send: there is no client for {args.to}: {row.hand_in}")
    fields = (flag.replace("-", "_") for flag in OPTIONS)
    values = {name: value for name in fields if (value := getattr(args, name)) is not None}
    options = validated(Options, values, "mlcd-eval submit")
    output = args.output or Path("submissions") / args.to
    request, submission = prepare(args.to, read_all(args.paths), options, output, args.allow_partial)
    for line in submission.refused:
        print(f"not accepted: {line}", file=sys.stderr)
    if not submission.files:
        raise DataError(f"none of the records is accepted by {args.to}")
    _write(submission, output)
    for note in submission.notes:
        print(f"note: {note}")
    print(f"sent: {send(args.to, request)}" if args.send else f"nothing was sent: {row.hand_in}")
    return 0


def _write(submission: Submission, output: Path) -> None:
    """Write what has changed, and print the changed lines."""
    import difflib

    from mlcd_eval.support.fileio import check_writable, write_text

    check_writable(output)
    for name, text in submission.files.items():
        path = output / name
        before = path.read_bytes().decode() if path.exists() else None
        if before == text:
            print(f"unchanged: {path}")
            continue
        write_text(path, text)
        print(f"{'new' if before is None else 'changed'}: {path}")
        changes = list(difflib.unified_diff((before or "").splitlines(), text.splitlines(), lineterm="", n=0))
        print("".join(f"  {line}\n" for line in changes[2:] if not line.startswith("@@")), end="")
