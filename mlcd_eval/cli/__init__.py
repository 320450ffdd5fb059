"""The command line: `mlcd-eval COMMAND`.

Exit codes: 0 done, 1 a task failed, 2 the request or its input is wrong, 129 the terminal was closed and Slurm goes on,
130 stopped by SIGINT, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from mlcd_eval.cli.parser import Parser
from mlcd_eval.errors import UserError
from mlcd_eval.support.needs import lacking

COMMANDS = (
    "demo",
    "run",
    "plan",
    "encode",
    "watch",
    "rerun",
    "score",
    "import",
    "ls",
    "validate",
    "table",
    "serve",
    "submit",
    "bench",
    "compare",
    "power",
    "explain",
    "doctor",
    "completion",
)
USER_ERRNO = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.ENAMETOOLONG: "a name is longer than the file system takes",
    errno.ELOOP: "symbolic links lead to each other",
}


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; with a command's name, the others have no arguments, so that their
    modules need not be imported. Command modules import heavy packages only when they run."""
    from mlcd_eval import __version__

    parser = Parser(prog="mlcd-eval", description="Evaluate pretrained vision encoders by the field's own protocols.")
    parser.add_argument("--version", action="version", version=f"mlcd-eval {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name in COMMANDS:
        if command in COMMANDS and command != name:
            commands.add_parser(name)
            continue
        import_module(f"mlcd_eval.cli.{'import_' if name == 'import' else name}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded("mlcd-eval", lambda: build_parser(next(iter(words), None)), argv)


class Terminated(SystemExit):
    """Raised in the main thread on SIGTERM."""


def _terminate(*_: object) -> NoReturn:
    raise Terminated(128 + signal.SIGTERM)


def _ending(*_: object) -> None:
    """Ignore Ctrl-C while the process ends, so that an interruption is reported once."""


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Ignore a full disk in a thread: TensorBoard's writer raises it in the main thread too, where it is reported."""
    if not (isinstance(failure.exc_value, OSError) and failure.exc_value.errno in USER_ERRNO):
        threading.__excepthook__(failure)


def guarded(prog: str, build: Callable[[], argparse.ArgumentParser], argv: Sequence[str] | None) -> int:
    """Parse the arguments, run the chosen command and return its exit code.

    A user's mistake is reported in one sentence on stderr; a bug keeps its traceback.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is _ending:  # of an earlier call in this process
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that are no valid text are shown escaped, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")
    threading.excepthook = _thread_failed
    try:
        args = build().parse_args(argv)
        return args.run(args)
    except UserError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        sentence = lacking(error)
        if sentence is None:
            raise
        print(f"{prog}: error: {sentence}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `mlcd-eval table ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in USER_ERRNO:
            raise
        print(f"{prog}: error: {USER_ERRNO[error.errno]}: {error.filename or error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Terminated) as stop:
        signal.signal(signal.SIGINT, _ending)
        terminated = isinstance(stop, Terminated)
        how = "terminated" if terminated else "interrupted"
        print(f"{prog}: {how}; run the same command again to resume", file=sys.stderr)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
