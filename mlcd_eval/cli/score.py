"""`mlcd-eval score`: score saved masks or answers on a task, without a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mlcd_eval.cli.output import add_output_flags, progress_of
from mlcd_eval.cli.request import add_setting_flags, natural


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("score", help="score saved predictions: masks (JSONL) or answers (JSON), no model")
    add = parser.add_argument
    add("task", nargs="?", metavar="TASK", help="a task such as refcoco/refcoco_val; omit it with --dataset")
    add(
        "predictions",
        type=Path,
        metavar="PREDICTIONS",
        help="file of {sent_id, segmentation} or {questionId, answer} objects",
    )
    add("--dataset", metavar="KIND:PATH", help="refer:ROOT/NAME/SPLIT_BY/SPLIT or docvqa:FILE instead of a task")
    add("--data-root", type=Path, metavar="DIR", help="folder of datasets; the annotations suffice")
    add("--output", type=Path, default=Path("results/runs"), metavar="DIR", help="for NAME/TASK.json (results/runs)")
    add("--name", metavar="NAME", help="the model's name in the record (default: the file's name)")
    add("--seed", type=natural, default=0, metavar="N", help="of the intervals (0)")
    add(
        "--log-samples",
        action="store_true",
        help="write texts and masks of every sample, and pictures of some (outcomes are always kept)",
    )
    add_setting_flags(parser.add_argument, scored_from_files=True)
    add_output_flags(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score the predictions, write the record and print its table."""
    from mlcd_eval.cli.request import settings_of_flags
    from mlcd_eval.errors import ConfigError, DataError
    from mlcd_eval.request import RunRequest
    from mlcd_eval.running.predictions import protocol_of_predictions, score
    from mlcd_eval.support.warned import collected_warnings
    from mlcd_eval.tables.boards.terminal import drawing
    from mlcd_eval.tables.summary import summary

    if (args.task is None) == (args.dataset is None):
        raise ConfigError("score takes a TASK or --dataset, and PREDICTIONS: got both or neither")
    task = args.task if args.dataset is None else protocol_of_predictions(args.dataset)
    request = RunRequest(
        models=("predictions",),
        tasks=(task,),
        datasets=(args.dataset,) if args.dataset else (),
        data_root=args.data_root,
        output=args.output,
        seed=args.seed,
        log_samples=args.log_samples,
        settings=settings_of_flags(args),
    )
    progress = progress_of(args)
    with collected_warnings(progress):
        result = score(args.predictions, request, args.name, progress)
    print(summary([result], drawing()))
    print(f"Records: {args.output}")
    if args.log_samples:
        from mlcd_eval.tables.report.sheet import write_sheets

        try:
            write_sheets([result], request)
        except DataError as error:
            progress.say(f"note: no pictures of samples: {error}")
    return 0
