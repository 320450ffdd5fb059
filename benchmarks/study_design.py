"""The study's cells: which objective is trained on which labels, how, and from which seed."""

from dataclasses import asdict, dataclass, replace

QUALITIES = ("exact", "wrong_added", "half_missing")
SCALES = (8, 16, 64)
SCALE = 16  # where the scale is not varied
GRADIENTS = ("exact", "straight_through")
MARGIN = 0.3
LENGTHS = (100, 200, 400)  # steps of a training at which it is measured
ADDED_LENGTHS = (50, 100, 200)  # of the addition
LONGER = 4  # times, of the trainings in which most images have A below 0
LONGEST = 24  # times, of the trainings that also MLCD's A is to fall below 0 in
SEEDS = (0, 1, 2)
TRAINED, SCRATCH, GIVEN = "trained", "scratch", "given"  # GIVEN: another model's tower, by `model.init`


@dataclass(frozen=True)
class Cell:
    """One training. scale: 0 for an objective that learns its own; ratio: the share of classes that are negatives, all
    of them or, below 1, only drawn ones. longer: how many times as long as the others."""

    objective: str
    quality: str = "exact"
    scale: int = SCALE
    gradient: str = "exact"
    ratio: float = 1.0
    start: str = TRAINED
    longer: int = 1
    seed: int = 0

    @property
    def name(self):
        """Of its record."""
        return "_".join(str(value) for value in asdict(self).values())

    def settings(self):
        """What `fit.objective` says."""
        name = {"unicom": "cluster", "bce": "multi_sigmoid"}.get(self.objective, self.objective)
        common = {"name": name, "ratio": self.ratio, "centres_lr": 5.0}
        if self.ratio < 1:
            common["batch_positives"] = "drawn_only"
        if self.objective == "bce":
            return common
        if self.objective == "multi_softmax":  # its own margin, of the cosine, whose gradient is the same in both forms
            return common | {"scale": self.scale, "positives_count": False}
        return common | {"scale": self.scale, "margin": MARGIN, "margin_gradient": self.gradient}


def blocks():
    """{name: cells of seed 0}, in the order in which they are trained. Only what a hypothesis needs is crossed."""
    crossed = [(quality, scale) for quality in QUALITIES for scale in SCALES]
    return {
        "separation": [Cell(objective, *at) for at in crossed for objective in ("mlcd", "mlc")],
        "gradient": [
            *(Cell(name, scale=scale, gradient=GRADIENTS[1]) for name in ("mlcd", "mlc", "unicom") for scale in SCALES),
            *(Cell("unicom", scale=scale) for scale in SCALES),
            *(Cell("mlcd", quality, gradient=GRADIENTS[1]) for quality in QUALITIES[1:]),
        ],
        "objectives": [
            *(Cell("unicom", quality) for quality in QUALITIES[1:]),
            *(Cell("multi_softmax", quality) for quality in QUALITIES),
            *(Cell("bce", quality, 0) for quality in QUALITIES),
        ],
        "negatives": [Cell(name, quality, ratio=0.1) for quality in QUALITIES[:2] for name in ("mlcd", "mlc")],
        "scratch": [Cell(name, quality, start=SCRATCH) for quality in QUALITIES[:2] for name in ("mlcd", "mlc")],
        "long": [Cell(name, scale=SCALES[0], longer=LONGER) for name in ("mlcd", "mlc")],
    }


def added():
    """{name: cells of seed 0} of the addition: from another model's tower, and longer than all others."""
    return {
        "given": [Cell(name, gradient=gradient, start=GIVEN) for gradient in GRADIENTS for name in ("mlcd", "mlc")],
        "longest": [Cell(name, scale=SCALES[0], longer=LONGEST) for name in ("mlcd", "mlc")],
    }


def cells(of_blocks, seeds=SEEDS):
    """All cells: block by block, each seed by seed, so that a study that is stopped has whole comparisons."""
    return [replace(cell, seed=seed) for block in of_blocks.values() for seed in seeds for cell in block]


def reduced():
    """A few cells that touch everything: each objective, both gradients, both starts, both ratios."""
    return [
        *(Cell(objective, scale=8) for objective in ("mlcd", "mlc")),
        Cell("mlcd", scale=8, gradient="straight_through"),
        *(Cell(objective, "wrong_added") for objective in ("unicom", "multi_softmax")),
        Cell("bce", "half_missing", 0),
        Cell("mlcd", ratio=0.1),
        Cell("mlcd", start=SCRATCH),
    ]
