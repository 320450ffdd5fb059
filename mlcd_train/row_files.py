"""Class rows in a training state: a file for each rank, named by its first class, which any number of ranks reads."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from mlcd_eval.errors import CheckpointError
from mlcd_train.class_rows import ClassRows

CENTRES = "centres"  # the name where there is one set of rows; others begin with it
TENSORS = ("weight", "exp_avg", "exp_avg_sq", "steps")


def file_of(name: str, rows: ClassRows) -> str:
    """The name of the file of this rank's share of class rows."""
    return f"{name}_{rows.begin:010d}.safetensors"


def tensors_of(rows: ClassRows) -> dict[str, Tensor]:
    """What the file of this rank's share holds."""
    return {name: getattr(rows, name) for name in TENSORS}


def fits(place: Path, name: str, rows: ClassRows) -> bool:
    """Whether a state has rows of that name, as many and of the same dimension."""
    count, dim = 0, 0
    for path in _files(place, name):
        with safe_open(path, framework="pt") as file:
            of_file, dim = file.get_slice("weight").get_shape()
        count += of_file
    return (count, dim) == rows.shape


def restore(place: Path, name: str, rows: ClassRows) -> None:
    """Read this rank's share of the rows; raises CheckpointError where the state lacks some."""
    filled = 0
    for path in _files(place, name):
        first = int(path.stem.rpartition("_")[2])
        with safe_open(path, framework="pt") as file:
            last = first + file.get_slice("steps").get_shape()[0]
            begin, end = max(first, rows.begin), min(last, rows.end)
            if begin >= end:
                continue
            for tensor in TENSORS:
                part = file.get_slice(tensor)[begin - first : end - first]
                getattr(rows, tensor)[begin - rows.begin : end - rows.begin].copy_(part)
            filled += end - begin
    if filled != rows.end - rows.begin:
        raise CheckpointError(f"{place} is damaged: {filled} of {rows.end - rows.begin} class centres found")


def _files(place: Path, name: str) -> list[Path]:
    return sorted(place.glob(f"{name}_{'[0-9]' * 10}.safetensors"))
