"""The flags that `run` and `plan` share, and the RunRequest that they make. Their defaults are RunRequest's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.cli.config import merged
from mlcd_eval.encoders.kinds import written_kinds

if TYPE_CHECKING:
    from mlcd_eval.request import RunRequest


def positive(text: str) -> int:
    """Return an integer of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer of at least 1")
    return int(text)


def natural(text: str) -> int:
    """Return an integer of at least 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer of at least 0")
    return int(text)


def auto_or_positive(text: str) -> int | None:
    """Return None for `auto`, else an integer of at least 1."""
    return None if text == "auto" else positive(text)


def auto_or_natural(text: str) -> int | None:
    """Return None for `auto`, else an integer of at least 0."""
    return None if text == "auto" else natural(text)


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a request, and those that read and write it as a file."""
    parser.epilog = f"KIND of --model: {', '.join(written_kinds())}; of --dataset: see ls datasets"
    what = parser.add_argument_group("what is run (--model, --dataset and --set may be repeated)").add_argument
    repeated(what, "--model", "models", "[NAME=]SPEC", "checkpoint folder or KIND:NAME, see ls models")
    what("--tasks", metavar="A,B", help="groups, suites, names, globs, YAML; see ls tasks")
    repeated(what, "--dataset", "datasets", "KIND:PATH", "your own data; --tasks then names protocols")
    what("--data-root", type=Path, metavar="DIR", help="folder of data sets, searched before the hub")
    what("--limit", type=positive, metavar="N", help="at most N images per split, to try things")
    what("--seed", type=natural, metavar="N", help="of draws, splits and intervals (0)")
    switch(what, "--skip-incompatible", "leave out tasks that a model cannot do")
    switch(what, "--submit", "write answers for a server, do not score them")
    add_setting_flags(what)
    switch(what, "--trust-remote-code", "run code of a model's repository")
    what("--allow-bad-images", type=natural, metavar="N", help="tolerate N undecodable images per split")

    how = parser.add_argument_group("how it is run (defaults in brackets)").add_argument
    choice(how, "--device", ("auto", "cpu", "cuda"), "(auto)")
    choice(how, "--precision", ("fp32", "bf16", "fp16"), "autocast of the encoder (fp32); on a GPU use fp16")
    switch(how, "--deterministic", "sum in a fixed order on a GPU (docs/gpu.md)")
    how("--batch-size", type=auto_or_positive, metavar="auto|N", help="halved while memory runs out (auto)")
    how("--workers", type=auto_or_natural, metavar="auto|N", help="processes that decode images (auto)")
    how(
        "--decoder",
        choices=("pil", "torch", "torchcodec"),
        metavar="NAME",
        help="pil (default, exact), or faster: torch (the resize), torchcodec (JPEG files too)",
    )
    switch(how, "--offline", "never touch the network")

    where = parser.add_argument_group("what is kept").add_argument
    where("--output", type=Path, metavar="DIR", help="for DIR/MODEL/TASK.json (results/runs)")
    where("--cache", type=Path, metavar="DIR", help="feature store ($MLCD_EVAL_CACHE or ~/.cache)")
    where("--no-resume", dest="resume", action="store_false", help="score again what has a record")
    where("--resume", action="store_true", help=argparse.SUPPRESS)
    switch(where, "--log-samples", "write texts and masks of every sample too")
    switch(where, "--json", "print JSON on stdout")
    where("--config", type=Path, metavar="FILE", help="YAML file of flags; flags given here win")
    where("--save-config", type=Path, metavar="FILE", help="write the flags to a file for --config")


def add_encoder_flags(add: Any, limit: str) -> None:
    """Add the flags of how images are encoded, with help that names no default. limit: what at most N images are of."""
    add("--device", choices=("auto", "cpu", "cuda"))
    add("--precision", choices=("fp32", "bf16", "fp16"), help="autocast precision of the encoder")
    add("--batch-size", type=auto_or_positive, metavar="auto|N")
    add("--workers", type=auto_or_natural, metavar="auto|N", help="processes that decode images")
    add("--cache", type=Path, metavar="DIR", help="feature store, shared with `mlcd-eval run`")
    add("--limit", type=positive, metavar="N", help=f"at most N images{limit}")
    add("--offline", action="store_true", help="never touch the network")
    add("--allow-bad-images", type=natural, metavar="N", help=f"tolerate up to N undecodable images{limit}")


def repeated(add: Any, flag: str, dest: str, metavar: str, text: str) -> None:
    """Add a flag that may be given several times."""
    add(flag, action="append", dest=dest, metavar=metavar, help=text)


def choice(add: Any, flag: str, values: Sequence[str], text: str) -> None:
    """Add a flag that takes one of a few values."""
    add(flag, choices=values, metavar="|".join(values), help=text)


def switch(add: Any, flag: str, text: str) -> None:
    """Add a flag that is off by default, with a hidden one that switches off what a --config has on."""
    add(flag, action="store_true", help=text)
    add(flag.replace("--", "--no-", 1), action="store_false", dest=flag[2:].replace("-", "_"), help=argparse.SUPPRESS)


def add_setting_flags(add: Any, scored_from_files: bool = False) -> None:
    """Add the flags that change settings of tasks. scored_from_files: those alone that saved predictions have."""
    repeated(add, "--set", "changes", "KEY=VALUE", "change a setting, such as mode=zeroshot or dialect=mteb")
    if not scored_from_files:
        add("--templates", metavar="FILE|TEXT|NAME", help="zeroshot: a file, 'a photo of a {c}.' or a list's name")
        add("--classnames", metavar="FILE|NAME", help="zeroshot: a file in the order of classes")
        add("--embedding", metavar="int8|binary|dim=N", help="compress features: knn, retrieval, linear_probe")
    choice(add, "--empty-union", ("lisa", "lavt"), "refcoco: two empty masks count 1 or 0 (lisa)")


def settings_of_flags(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that `--set` and its shorthands ask for; values are read as YAML."""
    from mlcd_eval.data.prompts import class_names_of_flag, templates_of_flag
    from mlcd_eval.errors import ConfigError
    from mlcd_eval.support.documents import parse_yaml

    settings: dict[str, Any] = {}
    for change in getattr(args, "changes", None) or ():
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set got {change!r}, expected KEY=VALUE such as mode=zeroshot")
        try:
            settings[key] = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(f"--set {change[:80]!r}: the value is not plain YAML: {error}") from error
    if (templates := getattr(args, "templates", None)) is not None:
        settings["templates"] = templates_of_flag(templates)
    if (class_names := getattr(args, "classnames", None)) is not None:
        settings["class_names"] = class_names_of_flag(class_names)
    shorthands = {name: getattr(args, name, None) for name in ("embedding", "empty_union")}
    return settings | {name: value for name, value in shorthands.items() if value}


def request_of(args: argparse.Namespace) -> RunRequest:
    """Return the request that the flags make, as `merged` returns them."""
    from mlcd_eval.request import RunRequest
    from mlcd_eval.spec import validated

    given = {name: value for name, value in vars(args).items() if name in RunRequest.model_fields and value is not None}
    given["tasks"] = [word for word in map(str.strip, args.tasks.split(",")) if word]
    return validated(RunRequest, {**given, "settings": settings_of_flags(args)}, "mlcd-eval")


def flags_and_request(args: argparse.Namespace) -> tuple[argparse.Namespace, RunRequest]:
    """Return all flags, with those of --config, and the request that they make.

    Exits with 2, as for any wrong flag, if neither names a model or neither names tasks.
    """
    flags = merged(args)
    missing = [flag for flag, name in (("--model", "models"), ("--tasks", "tasks")) if not getattr(flags, name, None)]
    if missing:
        args.parser.error(f"the following arguments are required: {', '.join(missing)} (here or by --config)")
    return flags, request_of(flags)
