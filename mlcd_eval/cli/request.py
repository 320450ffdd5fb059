"""The flags that `run` and `plan` share, and the RunRequest that they make."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.encoders.kinds import written_kinds

if TYPE_CHECKING:
    from mlcd_eval.request import RunRequest


def positive(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer of at least 1")
    return int(text)


def natural(text: str) -> int:
    """An integer of at least 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer of at least 0")
    return int(text)


def auto_or_positive(text: str) -> int | None:
    """`auto` as None, else an integer of at least 1."""
    return None if text == "auto" else positive(text)


def auto_or_natural(text: str) -> int | None:
    """`auto` as None, else an integer of at least 0."""
    return None if text == "auto" else natural(text)


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a request."""
    from mlcd_eval.data.kinds import scheme_forms

    add = parser.add_argument
    add(
        "--model",
        action="append",
        required=True,
        metavar="SPEC",
        help=f"checkpoint folder, or KIND:NAME with KIND one of {', '.join(written_kinds())} (`mlcd-eval ls models` "
        "shows how); repeat it for several models",
    )
    add(
        "--tasks",
        required=True,
        metavar="A,B",
        help="groups, suites, names, globs or YAML files (`mlcd-eval ls tasks`)",
    )
    add(
        "--dataset",
        action="append",
        default=[],
        metavar="KIND:PATH",
        help=f"your own data, then --tasks names protocols: {scheme_forms()} (see `mlcd-eval ls datasets`)",
    )
    add("--data-root", type=Path, metavar="DIR", help="folder of datasets; searched before the hub")
    add(
        "--output", type=Path, default=Path("results/runs"), metavar="DIR", help="records go to DIR/<model>/<task>.json"
    )
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="autocast precision of the encoder")
    add("--batch-size", type=auto_or_positive, metavar="auto|N", help="default auto; halved while memory runs out")
    add("--workers", type=auto_or_natural, metavar="auto|N", help="processes that decode images (default auto)")
    add("--cache", type=Path, metavar="DIR", help="feature store (default $MLCD_EVAL_CACHE or the user's cache folder)")
    add("--limit", type=positive, metavar="N", help="at most N images per split, for trying things")
    add("--seed", type=natural, default=0, metavar="N")
    add("--log-samples", action="store_true", help="write per-sample outcomes to DIR/<model>/samples/")
    add("--no-resume", dest="resume", action="store_false", help="score again what the output folder already holds")
    add("--offline", action="store_true", help="never touch the network")
    add("--trust-remote-code", action="store_true", help="run code that a model repository ships")
    add(
        "--allow-bad-images", type=natural, default=0, metavar="N", help="tolerate up to N undecodable images per split"
    )
    add("--json", action="store_true", help="print JSON on stdout")
    add("--submit", action="store_true", help="write answers for a benchmark's server instead of scoring them")
    add_setting_flags(parser)


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that change settings of tasks."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="a setting over the tasks' own, such as mode=zeroshot; repeat it for several",
    )
    parser.add_argument(
        "--templates",
        metavar="FILE|TEXT|NAME",
        help="zeroshot: a file of prompts, one such as 'a photo of a {c}.', or a list such as clip-benchmark:food101",
    )
    parser.add_argument(
        "--classnames",
        metavar="FILE|NAME",
        help="zeroshot: a file of class names in the order of the classes, or a list",
    )
    parser.add_argument(
        "--empty-union", choices=("lisa", "lavt"), help="refcoco: two empty masks count 1 (lisa, default) or 0 (lavt)"
    )


def settings_of_flags(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that `--set` and its shorthands ask for, values read as YAML."""
    import yaml

    from mlcd_eval.data.prompts import class_names_of_flag, templates_of_flag
    from mlcd_eval.errors import ConfigError

    settings: dict[str, Any] = {}
    for change in args.changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set got {change!r}, expected KEY=VALUE such as mode=zeroshot")
        try:
            settings[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {change!r}: the value is not plain YAML") from error
    if args.templates is not None:
        settings["templates"] = templates_of_flag(args.templates)
    if args.classnames is not None:
        settings["class_names"] = class_names_of_flag(args.classnames)
    return settings | ({"empty_union": args.empty_union} if args.empty_union else {})


def request_of(args: argparse.Namespace) -> RunRequest:
    """The request that the flags make."""
    from mlcd_eval.request import RunRequest

    fields = {name: getattr(args, name) for name in RunRequest.model_fields if getattr(args, name, None) is not None}
    tasks = tuple(word for word in args.tasks.split(",") if word)
    words = {"models": tuple(args.model), "tasks": tasks, "datasets": tuple(args.dataset)}
    return RunRequest(**{**fields, **words, "settings": settings_of_flags(args)})
