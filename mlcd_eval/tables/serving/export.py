"""A site of records as a folder of files, for any host of static files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_text
from mlcd_eval.tables.serving.pages import Page

MANIFEST = ".mlcd-eval-site.json"
"""The list of the files that an export wrote, so that the next one removes those that are no longer made."""


def export(site: Mapping[str, Page], folder: Path) -> int:
    """Write the pages, remove those of an earlier export that are gone, and return how many files changed.

    Raises ConfigError for a folder that holds files which no export wrote, where they would be replaced.
    """
    earlier = _earlier(folder)
    if strangers := [address for address in site if (folder / address).exists() and address not in earlier]:
        raise ConfigError(f"--export: {folder / strangers[0]} was not written by an export, expected an empty folder")
    write_text(folder / MANIFEST, json.dumps(sorted({*site, *earlier}), indent=1, ensure_ascii=False) + "\n")
    changed = 0
    for address, page in site.items():
        path, text = folder / address, page.make()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed += 1
    for address in earlier - site.keys():
        (folder / address).unlink(missing_ok=True)
    write_text(folder / MANIFEST, json.dumps(sorted(site), indent=1, ensure_ascii=False) + "\n")
    return changed


def _earlier(folder: Path) -> set[str]:
    """The addresses of an earlier export; raises ConfigError for a list that names anything outside the folder."""
    path = folder / MANIFEST
    if not path.is_file():
        return set()
    names = read_json(path)
    root = folder.resolve()
    if not isinstance(names, list) or not all(
        isinstance(name, str) and (root / name).resolve().is_relative_to(root) for name in names
    ):
        raise ConfigError(f"--export: {path} is not the list of an export, expected addresses inside the folder")
    return set(names)
