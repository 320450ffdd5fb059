"""Compare every architecture of the matrix with its own library, and write the table of docs/encoders.md.

    python -m benchmarks.encoder_matrix.matrix            measure, and write the table
    python -m benchmarks.encoder_matrix.matrix --check    exit with 1 where a row differs, or is missing from the page

Pixels, the pooled features and the features of texts are compared in fp32 on the CPU, each with the library's own call.
The difference is the largest one, relative to the largest value where that is above 1.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.encoder_matrix.case import Case
from mlcd_eval.encoders.registry import load_encoder

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"
START, END = "<!-- the matrix: written by benchmarks/encoder_matrix/matrix.py -->\n", "<!-- end of the matrix -->\n"
MODULES = ("other_models", "transformers_models")
TOLERANCE = 1e-5
SIZES = ((60, 45), (40, 52), (48, 48))  # pixels, width x height
TEXTS = ("a photo of a cat", "two dogs & a house, by the sea")


@dataclass(frozen=True)
class Row:
    """One architecture: what its encoder says about itself, and how far it is from its library."""

    architecture: str
    route: str
    pooling: str
    layers: str
    difference: float
    seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        """What does not change from run to run."""
        return self.architecture, f"`{self.route}`", self.pooling, self.layers

    def __str__(self) -> str:
        return f"| {' | '.join(self.cells)} | {self.difference:.0e} | {self.seconds:.2f} |"


def cases() -> Iterator[Case]:
    """The cases of all modules of this folder that have some."""
    for name in MODULES:
        full = f"{__package__}.{name}"
        if importlib.util.find_spec(full) is not None:
            yield from importlib.import_module(full).CASES


def images() -> list[Image.Image]:
    """RGB images of several aspects: a gradient with noise."""
    generator = np.random.default_rng(0)
    made = []
    for width, height in SIZES:
        slope = np.linspace(0, 160, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
        made.append(Image.fromarray((slope + generator.integers(0, 55, (height, width, 3))).astype(np.uint8)))
    return made


@torch.inference_mode()
def measure(case: Case, folder: Path) -> Row:
    """Build a case in an empty folder, load it by its spec, and compare."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec = case.build(folder)
        start = time.perf_counter()
        encoder = load_encoder(spec, trust_remote_code=case.trust_remote_code, offline=True)
        seconds = time.perf_counter() - start
        expected = case.oracle(folder, images(), TEXTS)
    pixels = torch.stack([encoder.preprocess(image) for image in images()])
    pairs = [] if expected.pixels is None else [(pixels, expected.pixels)]
    got = encoder.encode_images(pixels, list(expected.layers))
    pairs += [(got[layer], value) for layer, value in expected.layers.items()]
    if expected.texts is not None:
        pairs.append((encoder.encode_texts(list(TEXTS)), expected.texts))
    difference = max(_difference(ours, theirs) for ours, theirs in pairs)
    layers = ", ".join(encoder.info.layers) + (", texts" if expected.texts is not None else "")
    route = spec.replace(str(folder), "PATH")
    pooling = encoder.info.extra.get("pooling", "token")  # a checkpoint's `extra` is what it says of its training
    return Row(case.architecture, route, pooling, layers, difference, seconds)


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    difference = (ours.double() - theirs.double()).abs().max() / max(1.0, float(theirs.abs().max()))
    return float("inf") if torch.isnan(difference) else float(difference)


def rows(chosen: Iterable[Case]) -> Iterator[Row]:
    """One row per case, printed as it is measured."""
    for case in chosen:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(case, Path(folder))
        print(row, flush=True)
        yield row


def table(measured: Iterable[Row]) -> str:
    """The table as markdown."""
    head = "| architecture | spec | pooling | layers | max difference | load, s |\n|---|---|---|---|--:|--:|\n"
    return head + "".join(f"{row}\n" for row in measured)


def written(page: Path = PAGE) -> set[tuple[str, ...]]:
    """The rows of the page, without what changes from run to run."""
    text = page.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    return {tuple(cell.strip() for cell in line.split("|")[1:5]) for line in text.splitlines()[2:]}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 with --check where a row differs by more than 1e-5, or the page lacks it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only; write nothing")
    check = parser.parse_args(arguments).check
    measured = list(rows(cases()))
    wrong = [row for row in measured if not row.difference <= TOLERANCE]
    missing = {row.cells for row in measured} ^ written() if check else set()
    print(f"{len(measured)} architectures, {len(wrong)} differ by more than {TOLERANCE:.0e}")
    for cells in sorted(missing):
        print(f"not the same in {PAGE.name}: {' | '.join(cells)}")
    if not check:
        before, rest = PAGE.read_text(encoding="utf-8").split(START)
        PAGE.write_text(f"{before}{START}{table(measured)}{END}{rest.split(END)[1]}", encoding="utf-8")
    return 1 if wrong or missing else 0


if __name__ == "__main__":
    sys.exit(main())
