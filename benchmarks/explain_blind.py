"""Whether `mlcd-eval explain` finds, from a rounded number alone, which of 24 dialects made it.

python benchmarks/explain_blind.py [--model SPEC] [--data ../shared/data] [--draws 30]
For each of three data sets: a run in the task's own dialect, and hidden runs in dialects drawn at random, with a
feature store of their own. `explain` is given the first record and each hidden value as papers print it (one decimal of
per cent, and two), no more. A draw is right where the hidden dialect is the nearest or among those that are said to be
equally near. Then again with hidden runs in bf16, as on another machine: their values are a little off.
Class names are written as WordNet has them (`musical_instrument, instrument`), so that their spelling is a factor.
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlcd_eval import evaluate
from mlcd_eval.records import ResultStore
from mlcd_eval.running.explaining.lattice import Lattice, open_lattice
from mlcd_eval.tables.explaining.explain import Explanation, Measured, explain
from mlcd_eval.tables.explaining.printed import printed_text
from mlcd_eval.tables.explaining.targets import Target

FACTORS = {
    "templates": ("folder", "clip", "imagenet7", "mteb", ["a photo of a {c}."], "none"),
    "class_names": ("folder", "words"),
    "metric": ("acc1", "mean_per_class_recall"),
}
DIALECTS = [dict(zip(FACTORS, values, strict=True)) for values in itertools.product(*FACTORS.values())]
DATA = (("wds_openclipart", "test"), ("wds_emoji_groups", "test"), ("wds_openclipart", "train"))
MODEL = "open_clip:local-dir:../shared/models/tiny_clip"


@dataclass(frozen=True)
class Draw:
    """hidden: the dialect that made the value; text: the value as printed, which is all that `explain` is given."""

    data: str
    hidden: dict[str, object]
    text: str
    explanation: Explanation

    @property
    def right(self) -> bool:
        """Whether the hidden dialect is the nearest, or said to be as near."""
        return any(self._is_hidden(side) for side in (self.explanation.nearest, *self.explanation.ties))

    def _is_hidden(self, side: Measured) -> bool:
        return all(side.settings[name] == value or name in self.explanation.idle for name, value in self.hidden.items())


def with_wordnet_names(folder: Path, copy: Path) -> Path:
    """Return a copy of a data set whose class names are written as WordNet's; the images are links."""
    copy.mkdir(parents=True)
    for item in folder.iterdir():
        if item.name != "classnames.txt":
            (copy / item.name).symlink_to(item.resolve())
    names = (folder / "classnames.txt").read_text().splitlines()
    (copy / "classnames.txt").write_text("".join(f"{name.replace(' ', '_')}, {name.split()[-1]}\n" for name in names))
    return copy


def draws(
    model: str, folder: Path, split: str, count: int, rng: np.random.Generator, work: Path, precision: str = "fp32"
) -> Iterator[tuple[str, Draw]]:
    """Yield (decimals, draw) for hidden dialects of one data set."""
    options = {"datasets": f"wds:{folder}", "workers": 0}
    (own,) = evaluate(
        model, "zeroshot", output=work / "own", cache=work / "cache", settings={"split": split}, **options
    )
    file = ResultStore(work / "own").path(own)
    lattice = open_lattice(own, file, {"cache": work / "cache", "output": work / "own"}, {}, allow_code=True)
    points = [_point(lattice, dialect) for dialect in DIALECTS]
    for number in rng.choice(len(DIALECTS), count, replace=False):
        hidden = DIALECTS[number]
        (result,) = evaluate(
            model,
            "zeroshot",
            output=work / f"hidden_{precision}",
            cache=work / f"hidden_{precision}_cache",
            precision=precision,
            settings={"split": split, **hidden},
            **options,
        )
        for decimals in (1, 2):
            text = f"{100 * result.primary.value:.{decimals}f}%"
            explanation = explain(Target(printed_text(text), None), lattice, points)
            yield str(decimals), Draw(f"{folder.name}/{split}", hidden, text, explanation)


def _point(lattice: Lattice, dialect: dict[str, object]) -> tuple[int, ...]:
    values = lattice.factors.values
    return tuple(values[name].index(dialect[name]) if name in dialect else 0 for name in values)


def report(title: str, made: Sequence[Draw]) -> None:
    """Print a line per draw, and how many are right."""
    print(f"\n{title}")
    for draw in made:
        ties = len(draw.explanation.ties)
        said = f"{ties} as near" if ties else "alone"
        hidden = " ".join(str(value) for value in draw.hidden.values())
        print(f"  {'right' if draw.right else 'WRONG'}  {draw.text:>7}  {draw.data:22} {said:10} hidden: {hidden}")
    right, alone = sum(draw.right for draw in made), sum(not draw.explanation.ties for draw in made)
    mean = np.mean([1 + len(draw.explanation.ties) for draw in made])
    print(
        f"  {right} of {len(made)} right; {alone} without ties; {mean:.1f} dialects named on average of {len(DIALECTS)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], help="of the hidden runs")
    args = parser.parse_args()
    print(f"{args.model}, {len(DIALECTS)} dialects, {args.draws} draws, seed {args.seed}")
    for precision in args.precisions:
        rng = np.random.default_rng(args.seed)
        made: dict[str, list[Draw]] = {}
        with tempfile.TemporaryDirectory() as folder:
            for place, (name, split) in enumerate(DATA):
                work = Path(folder) / f"{place}"
                data = with_wordnet_names(args.data / name, work / name.removeprefix("wds_"))
                count = args.draws * (place + 1) // len(DATA) - args.draws * place // len(DATA)
                for decimals, draw in draws(args.model, data, split, count, rng, work, precision):
                    made.setdefault(decimals, []).append(draw)
        for decimals, of_decimals in made.items():
            report(f"hidden runs in {precision}, printed with {decimals} decimal(s) of per cent", of_decimals)


if __name__ == "__main__":
    main()
