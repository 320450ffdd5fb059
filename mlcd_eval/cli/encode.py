"""`mlcd-eval encode`: the features of a data set as a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mlcd_eval.cli.output import add_output_flags, progress_of
from mlcd_eval.cli.request import add_encoder_flags
from mlcd_eval.support.needs import require_torch


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("encode", help="write the features of a data set to a file")
    add = parser.add_argument
    add("--model", required=True, metavar="SPEC", help="as for `mlcd-eval run`")
    add("--dataset", required=True, metavar="KIND:PATH", help="the data; see ls datasets")
    add("--output", type=Path, required=True, metavar="FILE", help="a .parquet, .npy or .safetensors file")
    add("--split", metavar="NAME", help="needed where there are several")
    add("--layer", metavar="NAME", help="penultimate (default), projected, patches ...")
    add("--letterbox", action="store_true", help="show the encoder the whole image, instead of a crop")
    add("--texts", action="store_true", help="encode the captions too")
    add("--trust-remote-code", action="store_true", help="run code that a model repository ships")
    add_encoder_flags(add, "")
    add_output_flags(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode, write the file and say what is in it."""
    require_torch()
    from mlcd_eval.running.encoding import EncodeRequest, encode
    from mlcd_eval.support.warned import collected_warnings

    fields = {name: getattr(args, name) for name in EncodeRequest.model_fields if getattr(args, name) is not None}
    progress = progress_of(args)
    with collected_warnings(progress):
        contents = encode(EncodeRequest(**fields), progress)
    shape = " x ".join(f"{size:,}" for size in contents.images.array.shape)
    print(f"{args.output}: {shape} float32, layer {contents.about['layer']} of {contents.about['model']}")
    return 0
