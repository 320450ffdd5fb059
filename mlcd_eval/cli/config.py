"""Flags as a YAML file: `--config` reads it, `--save-config` writes it. A key is a flag's name, with _ for -."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlcd_eval.errors import ConfigError, nearest

FILES = ("config", "save_config")
"""The flags that are about the file itself."""


def merged(args: argparse.Namespace) -> argparse.Namespace:
    """Return the flags with those of the file of --config, over which the flags win, and write --save-config.

    args: the flags that were given, and their parser. Settings of --set win key by key. Raises ConfigError for a file
    that holds other keys than flags, or values that no flag takes.
    """
    given = {name: value for name, value in vars(args).items() if value is not None}
    path = given.get("config")
    if path is not None:
        in_file = _read(path, args.parser)
        given = {**in_file, **given, "changes": [*in_file.get("changes", []), *given.get("changes", [])]}
    flags = argparse.Namespace(**given)
    if "save_config" in given:
        _write(given["save_config"], flags)
    return flags


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the flags by key, hidden ones included."""
    flags = ((option, action) for action in parser._actions for option in action.option_strings)
    keys = {option[2:].replace("-", "_"): action for option, action in flags if option.startswith("--")}
    return {key: action for key, action in keys.items() if key not in (*FILES, "help")}


def _read(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    from mlcd_eval.support.documents import read_yaml

    actions = _actions(parser)
    words: list[str] = []
    for key, value in read_yaml(path).items():
        if key not in actions:
            shown = [name for name, action in actions.items() if action.help != argparse.SUPPRESS]
            raise ConfigError(
                f"{path}: unknown key {key!r}, expected one of {', '.join(shown)}{nearest(str(key), shown)}"
            )
        words += _words(f"--{key.replace('_', '-')}", value, actions[key], f"{path}: {key!r}")
    parser.source = f"{path}: "  # type: ignore[attr-defined]
    values = vars(parser.parse_args(words))
    parser.source = ""  # type: ignore[attr-defined]
    return {name: value for name, value in values.items() if value is not None}


def _words(flag: str, value: Any, action: argparse.Action, where: str) -> Iterator[str]:
    """Yield the words of the command line that say what a key says."""
    if value is None:
        return
    if action.nargs == 0:  # a flag without a value
        if not isinstance(value, bool):
            raise ConfigError(f"{where} is {value!r}, expected true or false")
        if value:
            yield flag
        return
    if isinstance(value, Mapping):
        if flag not in ("--model", "--set"):
            raise ConfigError(f"{where} is a mapping, expected a value{' or a list' if _is_list(action, flag) else ''}")
        value = [f"{name}={item if isinstance(item, str) else json.dumps(item)}" for name, item in value.items()]
    if isinstance(value, list) and not _is_list(action, flag):
        raise ConfigError(f"{where} is a list, expected one value")
    items = value if isinstance(value, list) else [value]
    texts = [item if isinstance(item, str) else json.dumps(item) for item in items]
    for text in [",".join(texts)] if flag == "--tasks" else texts:
        yield f"{flag}={text}"


def _is_list(action: argparse.Action, flag: str) -> bool:
    return flag == "--tasks" or isinstance(action, argparse._AppendAction)


def _write(path: Path, flags: argparse.Namespace) -> None:
    import yaml

    from mlcd_eval.support.fileio import write_text

    values: dict[str, Any] = {}
    for key, action in _actions(flags.parser).items():
        value = getattr(flags, action.dest, None)
        if value is None or action.help == argparse.SUPPRESS:
            continue
        if action.nargs == 0:
            if value is action.const:
                values[key] = True
        elif value != []:
            values[key] = [str(item) for item in value] if isinstance(value, list) else value
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    write_text(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
