"""`mlcd-eval serve`: records as a site, while they arrive, or as a folder of static files."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

MOST_TESTS = 4_000
"""Paired tests of the exported pages of two models, of some 15 ms each."""


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("serve", help="records as a site: served while they arrive, or as static files")
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of records, such as the --output of a run")
    add("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    add("--port", type=int, default=8321, help="0 for a free one (default: 8321)")
    add("--title", default="Leaderboard", help="of the first page")
    add("--published", metavar="NAME", action="append", default=[], help="as in `mlcd-eval table`, on the first page")
    add("--group", metavar="REGEX", help="as in `mlcd-eval table`")
    add("--export", type=Path, metavar="DIR", help="write the site to this folder instead, for a host of static files")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped, or write the site."""
    from mlcd_eval.errors import ConfigError

    if not args.folder.is_dir():
        raise ConfigError(f"{args.folder} is no folder, expected one of records")
    if args.export:
        from mlcd_eval.records import read_files
        from mlcd_eval.tables.serving.export import export
        from mlcd_eval.tables.serving.pages import pages

        records = read_files([args.folder])
        files, results = [file for file, _ in records], [result for _, result in records]
        written = pages(results, args.title, args.published, files=files, apart=args.group, most_tests=MOST_TESTS)
        changed = export(written, args.export)
        print(f"{len(written)} files, {changed} changed: {args.export / 'index.html'}")
        return 0

    from mlcd_eval.tables.serving.server import Site, make_server

    site = Site(args.folder, args.title, args.published, _say, args.group)
    site.page("index.html")  # an unknown --published or --group is reported before the address is
    try:
        server = make_server(site, args.host, args.port)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen at {args.host}:{args.port}: {error}; --port 0 takes a free one") from error
    with server:
        print(f"http://{args.host}:{server.server_address[1]}/ (Ctrl-C stops it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # the way to stop it
            server.serve_forever()
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
