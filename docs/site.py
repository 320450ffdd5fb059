"""Hooks of the documentation's site (mkdocs.yml): reference pages made from the code, and links that leave docs/."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mkdocs.structure.files import File, Files
from pydantic import BaseModel

from mlcd_eval import cli
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.records import result
from mlcd_eval.spec.task import DatasetSpec, SuiteSpec, TaskSpec
from mlcd_train import cli as train_cli

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(((?:\.\./)+)([^)#]+)(#[^)]*)?\)")
FILE = re.compile(r"^(```\w+) (\S+)$", re.MULTILINE)
"""The head of a block that is a file of its own."""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "null", Any: "anything"}
PYTHON = """\
# Python

`import mlcd_eval` imports nothing heavy. [From Python](../api.md) shows how the parts are used.

::: mlcd_eval.evaluate
::: mlcd_eval.results_frame
::: mlcd_eval.TorchEncoder
::: mlcd_eval.EncoderInfo
::: mlcd_eval.encoders.base.Encoder
::: mlcd_eval.records.result.Result
::: mlcd_eval.UserError
"""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from the code, and the files outside docs/ that pages link to."""
    pages = {"commands": commands_page(), "tasks": tasks_page(), "records": records_page(), "python": PYTHON}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    linked = {target for page in Path(config.docs_dir).rglob("*.md") for target in outside(page)}
    for target in sorted(linked):
        if (ROOT / target).is_file():
            files.append(File.generated(config, f"files/{target}.txt", abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave docs/ to the copies of their targets, name folders without a link, and give blocks that
    are files the form that mkdocs knows."""
    source = ROOT / "docs" / page.file.src_uri

    def inside(match: re.Match[str]) -> str:
        target = (source.parent / match[1] / match[2]).resolve()
        if target.is_relative_to(ROOT / "docs") or not target.is_relative_to(ROOT):
            return match[0]
        if target.is_dir():
            return "]"
        up = "../" * (len(Path(page.file.src_uri).parts) - 1)
        return f"]({up}files/{target.relative_to(ROOT)}.txt)"

    return FILE.sub(r'\1 title="\2"', LINK.sub(inside, markdown))


def outside(page: Path) -> set[str]:
    """The repository's files outside docs/ that a page links to, as paths from the root."""
    targets = {(page.parent / up / rest).resolve() for up, rest, _ in LINK.findall(page.read_text(encoding="utf-8"))}
    kept = [path for path in targets if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "docs")]
    return {str(path.relative_to(ROOT)) for path in kept}


def commands_page() -> str:
    """Every command with its flags, from the parsers that read them."""
    parts = ["# Commands\n\nMade from the program's own parsers; `mlcd-eval COMMAND --help` prints the same.\n"]
    for program, parser in (("mlcd-eval", cli.build_parser()), ("mlcd-train", train_cli.build_parser())):
        for name, command, summary in subcommands(parser):
            parts.append(f"## {program} {name}\n\n{sentence(summary)}\n\n{flags(command)}")
    return "\n".join(parts)


def subcommands(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser, str]]:
    """(name, parser, summary) of each command, and of the commands below one, such as `ls tasks`."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                found.append((name, command, summaries.get(name, "")))
                found += [(f"{name} {inner}", *rest) for inner, *rest in subcommands(command)]
    return found


def flags(parser: argparse.ArgumentParser) -> str:
    """A table of a command's arguments and flags."""
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        choices = " or ".join(map(str, action.choices)) if action.choices else action.dest.upper()
        value = action.metavar or choices
        value = " ".join(value) if isinstance(value, tuple) else value
        shown = " ".join(filter(None, (", ".join(action.option_strings), "" if action.nargs == 0 else str(value))))
        rows.append(f"| `{shown}` | {cell((action.help or '') % {'default': action.default, 'prog': parser.prog})} |")
    return "\n".join(["| argument | what |", "|---|---|", *rows, ""]) if rows else ""


def tasks_page() -> str:
    """The keys of task, data set and suite files, and the settings of every protocol."""
    files = {"A task: tasks/PROTOCOL/NAME.yaml": TaskSpec, "A data set: tasks/datasets/NAME.yaml": DatasetSpec}
    parts = ["# Task files and settings\n\nMade from the classes that read them. Unknown keys are refused.\n"]
    for title, model in {**files, "A suite: tasks/suites/NAME.yaml": SuiteSpec}.items():
        parts.append(f"## {title}\n\n{fields(model)}")
    for name in sorted(PROTOCOLS.built_in):
        protocol = get_protocol(name)
        dialects = ", ".join(f"`{dialect}`" for dialect in protocol.dialects) or "none"
        said = f"Version {protocol.version}. Data: {', '.join(protocol.kinds)}. Dialects: {dialects}."
        parts.append(f"## Settings of {name}\n\n{said}\n\n{fields(protocol.Settings)}")
    return "\n".join(parts)


def records_page() -> str:
    """The fields of a record."""
    models = [value for value in vars(result).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    shown = [model for model in models if model.model_fields and model.__module__ == result.__name__]
    return "\n".join(["# Fields of a record\n", *(f"## {model.__name__}\n\n{fields(model)}" for model in shown)])


def fields(model: type[BaseModel]) -> str:
    """A table of a model's fields: type, default, and what the docstrings say of each (`name: what it is.`)."""
    said: dict[str, str] = {}
    names = "|".join(model.model_fields)
    for part in model.__mro__:
        if part is not BaseModel and issubclass(part, BaseModel):
            text = " ".join((part.__doc__ or "").split())
            head, *pieces = re.split(rf"(?:(?<=[.:;] )|^)((?:(?:{names})(?:, )?)+): ", text)
            for group, what in zip(pieces[::2], pieces[1::2], strict=True):
                said = {**dict.fromkeys(group.split(", "), what.strip().rstrip(";")), **said}
            said.setdefault("", head.strip())
    rows = ["| key | type | default | what |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        cells = (f"`{name}`", f"`{kind_of(field.annotation)}`", f"`{default}`", said.get(name, ""))
        rows.append(f"| {' | '.join(map(cell, cells))} |")
    return "\n".join([said[""], "", *rows, ""])


def kind_of(annotation: Any) -> str:
    """A type in words: `number or null`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (Union, UnionType):
        return " or ".join(map(kind_of, inner))
    if origin is Annotated:
        return kind_of(inner[0])
    if origin is not None:
        several = " of " + ", ".join(kind_of(part) for part in inner if part is not Ellipsis) if inner else ""
        return getattr(origin, "__name__", str(origin)).lower() + several
    return WORDS.get(annotation) or getattr(annotation, "__name__", str(annotation))


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def cell(text: str) -> str:
    """Text that fits into a table's cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("\\\\|", "\\|").replace("<", "&lt;")
