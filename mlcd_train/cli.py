"""The command line: `mlcd-train COMMAND CONFIG.yaml`, also under torchrun as `-m mlcd_train`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.cli import Parser, guarded
from mlcd_eval.cli.output import add_log_flag, add_output_flags, progress_of
from mlcd_eval.cli.request import natural, positive

COMMANDS = {
    "run": "run all stages of a config, skipping those that are done",
    "embed": "compute off-the-shelf features of the training set",
    "cluster": "cluster these features by spherical k-means",
    "assign": "label each image with its nearest cluster centres, or from a file or captions",
    "fit": "train the image tower (with fit.objective clip, both towers)",
    "lit": "train a text tower against the locked image tower",
}
FORMATS = ("mlcd", "hf", "open_clip")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    from mlcd_eval import __version__

    parser = Parser(
        prog="mlcd-train", description="Train vision encoders by multi-label cluster discrimination (MLCD)."
    )
    parser.add_argument("--version", action="version", version=f"mlcd-train {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, text in COMMANDS.items():
        command = _add_config(commands.add_parser(name, help=text))
        command.set_defaults(run=_train)
        if name in ("run", "fit", "lit"):
            _add_looks(command)
    planner = _add_config(
        commands.add_parser("plan", help="show memory, disk, operations and time of a config, without reading data")
    )
    planner.add_argument("--gpus", type=positive, default=1, metavar="N", help="number of GPUs (default 1)")
    planner.add_argument("--images", type=_count, metavar="N", help="of the training data, such as 4e8")
    planner.add_argument(
        "--rate", type=_rate, metavar="TFLOPS", help="TFLOP/s that a GPU sustains in the towers (default: by precision)"
    )
    planner.set_defaults(run=_plan)
    exporter = _add_config(
        commands.add_parser("export", help="write the result as a checkpoint of mlcd-eval or of another library")
    )
    exporter.add_argument(
        "--format", choices=FORMATS, default="mlcd", help="mlcd (default), hf (transformers), open_clip"
    )
    exporter.add_argument(
        "--to", type=Path, metavar="DIR", help="folder to write (default: NAME-FORMAT beside the checkpoint)"
    )
    exporter.set_defaults(run=_export)
    return parser


def _add_config(parser: Any) -> Any:
    parser.add_argument("config", type=Path, metavar="CONFIG.yaml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="SECTION.KEY=VALUE",
        help="change a setting, such as fit.optimizer.lr=1e-3; may be repeated",
    )
    parser.add_argument(
        "--allow-pipes", action="store_true", help="run the commands of the config's data (tars:pipe:COMMAND)"
    )
    add_output_flags(parser)
    return parser


def _add_looks(parser: Any) -> None:
    """Add the flags that say what is seen of a training, for the settings of the same names of fit and lit."""
    add_log_flag(parser)
    parser.add_argument(
        "--profile",
        type=natural,
        metavar="N",
        help="write a trace of N training steps to profile.json in the stage's folder, and say what takes most time",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit codes as in mlcd-eval."""
    return guarded("mlcd-train", build_parser, argv)


def _train(args: argparse.Namespace) -> int:
    from mlcd_train.config import load_config, with_looks

    looks = {"log_to": args.log_to and tuple(args.log_to), "profile": args.profile} if "profile" in args else {}
    config = with_looks(load_config(args.config, args.changes, args.allow_pipes), looks)

    from mlcd_eval.support.determinism import deterministic
    from mlcd_eval.support.device import pick_device
    from mlcd_eval.support.distributed import rank, ranks
    from mlcd_eval.support.progress import Progress
    from mlcd_eval.support.warned import collected_warnings
    from mlcd_train.stages import TrainingRun

    with deterministic(config.deterministic), ranks(pick_device(config.device)) as device:
        progress = progress_of(args) if rank() == 0 else Progress()
        with collected_warnings(progress):
            TrainingRun(config, device, progress).run(None if args.command == "run" else [args.command])
    return 0


def _plan(args: argparse.Namespace) -> int:
    from mlcd_train.config import load_config
    from mlcd_train.plan import Plan

    print(Plan(load_config(args.config, args.changes, args.allow_pipes), args.gpus, args.images, args.rate).table())
    return 0


def _count(text: str) -> int:
    """A positive integer, also as 4e8 or 400_000_000."""
    number = _rate(text)
    if number != int(number):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number")
    return int(number)


def _rate(text: str) -> float:
    """A positive number."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number above 0")
    return number


def _export(args: argparse.Namespace) -> int:
    from mlcd_train.config import load_config

    config = load_config(args.config, args.changes, args.allow_pipes)

    import torch

    from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint
    from mlcd_train.export import export
    from mlcd_train.stages import TrainingRun

    run = TrainingRun(config, torch.device("cpu"), progress_of(args))
    run.run(["export"])
    if args.format != "mlcd":
        folder = args.to or config.output / f"{config.name}-{args.format}"
        export(load_checkpoint(run.checkpoint), folder, args.format)
        run.progress.say(f"{args.format}: {folder}")
    return 0
