"""`mlcd-eval completion`: the script by which a shell completes commands, flags and their values."""

from __future__ import annotations

import argparse
from typing import Any

SHELLS = {
    "bash": "mlcd-eval completion bash > ~/.local/share/bash-completion/completions/mlcd-eval",
    "zsh": "mlcd-eval completion zsh > FOLDER_OF_FPATH/_mlcd-eval",
    "fish": "mlcd-eval completion fish > ~/.config/fish/completions/mlcd-eval.fish",
}
"""Shell -> the command that installs its completion."""


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "completion",
        help="print the script that completes commands and flags in a shell",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="install it with one of\n" + "".join(f"  {command}\n" for command in SHELLS.values()),
    )
    parser.add_argument("shell", choices=tuple(SHELLS), metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from mlcd_eval.cli import build_parser

    print(shtab.complete(build_parser(), shell=args.shell))
    return 0
