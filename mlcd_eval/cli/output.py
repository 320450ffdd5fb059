"""The flags that say what a command shows while it works, and where else its results go."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlcd_eval.support.progress import Progress


def add_output_flags(parser: Any) -> None:
    """Add --quiet and --verbose."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--quiet", action="store_true", help="show results and errors only, no progress, no warnings")
    either.add_argument(
        "--verbose",
        action="store_true",
        help="leave a line per stage, and show each warning at once",
    )


def progress_of(args: argparse.Namespace) -> Progress:
    """Return the progress that the flags ask for."""
    from mlcd_eval.support.progress import make_progress

    quiet, verbose = getattr(args, "quiet", False), getattr(args, "verbose", False)
    return make_progress("quiet" if quiet else "verbose" if verbose else "normal")


def add_log_flag(parser: Any) -> None:
    """Add --log-to."""
    from mlcd_eval.loggers.registry import LOGGERS

    parser.add_argument(
        "--log-to",
        action="append",
        choices=tuple(LOGGERS),
        metavar="NAME",
        help=f"also write results, or a training's curves, as they arrive to {', '.join(LOGGERS)}; may be repeated",
    )
