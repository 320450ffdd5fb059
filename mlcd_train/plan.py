"""`mlcd-train plan`: what a config takes in memory, disk, operations and time, before any data is read.

A step's memory and operations are counted by running it without numbers (dry_step.py); the rest is arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from mlcd_eval.support.progress import duration
from mlcd_eval.tables.published.models import of_spec
from mlcd_train.checks import COPIES, FLOAT, GIB, USUAL, label_sets, num_classes, state_bytes
from mlcd_train.config import TrainConfig
from mlcd_train.data.workers import SLOTS, UNIT
from mlcd_train.dry_step import GPU, StepCost, step_cost
from mlcd_train.products import products_on
from mlcd_train.search import PROBES
from mlcd_train.sections import LABELS, LoopConfig

RATES = {"fp32": 40.0, "tf32": 200.0, "bf16": 400.0, "fp16": 400.0}
"""TFLOP/s that a GPU is assumed to sustain: of an H200's data sheet 60% of the 67 in fp32, 40% of the 495 in TF32 and
of the 989 in bf16 and fp16. Nothing here was measured on one."""
ENCODED = 40_000  # bytes of an image of a crawl, as img2dataset resizes it to 256 pixels


class Work(NamedTuple):
    """Products of one kind. operations: None where the number of images is unknown. rate: TFLOP/s of one GPU."""

    what: str
    operations: float | None
    rate: float


class StepWork(NamedTuple):
    """Products of one kind in a step."""

    what: str
    operations: int
    rate: float


@dataclass(frozen=True)
class Plan:
    """A config on a number of GPUs. images: of the training data, None if unknown. rate: TFLOP/s that a GPU sustains in
    the towers' products, by default as the precision of each stage allows."""

    config: TrainConfig
    gpus: int = 1
    images: int | None = None
    rate: float | None = None

    @cached_property
    def costs(self) -> dict[str, StepCost]:
        """What a step of fit, and of lit, takes on one GPU. Raises ConfigError for a batch that does not divide."""
        stages = ("fit", "lit") if self.config.lit is not None else ("fit",)
        return {stage: step_cost(self.config, stage, self.gpus) for stage in stages}  # type: ignore[arg-type]

    @property
    def dim(self) -> int:
        """Of the space in which the objective works, taken as that of the off-the-shelf features too."""
        return self.config.model.embed_dim or self.config.model.vision.width

    def steps(self, stage: str) -> int | None:
        """Of the whole stage; None without the number of images."""
        settings: LoopConfig = getattr(self.config, stage)
        if settings.steps is not None:
            return settings.steps
        assert settings.epochs is not None
        return None if self.images is None else max(1, math.floor(settings.epochs * self.images / settings.batch_size))

    def memory(self, stage: str) -> dict[str, int]:
        """Bytes on each GPU. The CUDA context and the gaps of PyTorch's allocator come to them, 1 to 2 GiB."""
        cost = self.costs[stage]
        centres = self._centres if stage == "fit" else 0
        return {
            "weights, their moments and average": cost.lasting - centres,
            "class centres and their moments": centres,
            "gradients, pixels, activations, similarities": cost.peak - cost.lasting,
            "peak": cost.peak,
        }

    @property
    def _centres(self) -> int:
        """Bytes of rank 0's class centres with their moments and counts of steps."""
        rows = num_classes(self.config).total() // self.gpus
        return rows * (COPIES * self.dim + 1) * FLOAT

    def host(self) -> dict[str, float | None]:
        """Bytes of host memory for each GPU."""
        data, size = self.config.data, self.config.model.vision.image_size
        share = self.config.fit.batch_size // self.gpus
        rounds = max(1, -(-UNIT * data.workers // share))
        return {
            "decoded images in shared memory": SLOTS * rounds * share * size * size * 3 if data.workers else 0,
            "encoded images to draw from, at 40 kB": data.shuffle * ENCODED / self.gpus,
            "labels, shared by the GPUs of a machine": self._labels(),
            "a state that is being written": max(cost.lasting for cost in self.costs.values()),
        }

    def disk(self) -> dict[str, float | None]:
        """Bytes of files."""
        config, files = self.config, dict[str, float | None]()
        if config.cluster is not None:
            features = self._per_image(FLOAT * self.dim)
            files["features, in the feature store"] = features and 2 * features  # its parts are joined to one file
            files["features, in the run's folder"] = features
        if config.assign is not None:
            files["labels, and their pieces while they are sorted"] = (labels := self._labels()) and 2 * labels
        for stage in self.costs:
            keep: int = getattr(config, stage).keep
            files[f"{keep} states of {stage}, and one that is being written"] = (keep + 1) * state_bytes(config, stage)
        return files

    def _labels(self) -> float | None:
        """Bytes of all label files: a digest and int32 classes (labels.py)."""
        sets = label_sets(self.config).values()
        return self._per_image(sum(6 + 4 * (labels.nearest or USUAL) for labels in sets)) if sets else 0

    def _per_image(self, size: float) -> float | None:
        return None if self.images is None else size * self.images

    def work(self) -> Iterator[Work]:
        """The products of all stages, over all GPUs."""
        config, centres = self.config, RATES[products_on(GPU, self.config.products)]
        if config.embed is not None and self._gflops is not None:
            total = self._per_image(1e9 * self._gflops)
            yield Work(f"embed: {config.embed.model}", total, RATES[config.embed.precision])
        if config.cluster is not None:
            all_pairs = self._per_image(2 * config.cluster.k * self.dim)
            one_pass = self._per_image(2 * self._compared * self.dim)
            iterations = config.cluster.iterations
            yield Work(f"cluster: {iterations} passes and one more", one_pass and (iterations + 1) * one_pass, centres)
            yield Work("assign", all_pairs, centres)
        for stage in self.costs:
            steps = self.steps(stage)
            title = f"{stage}: a step" if steps is None else f"{stage}: {steps:,} steps"
            for part in self.step_work(stage):
                yield Work(f"{title}, {part.what}", part.operations * self.gpus * (steps or 1), part.rate)

    def step_work(self, stage: str) -> Iterator[StepWork]:
        """The products of one step on one GPU."""
        cost, settings = self.costs[stage], getattr(self.config, stage)
        yield StepWork("towers", cost.towers, self.rate or RATES[settings.precision])
        if "centres" in cost.operations:
            yield StepWork("centres", cost.operations["centres"], RATES[products_on(GPU, self.config.products)])

    @property
    def _gflops(self) -> float | None:
        """Billions of operations that the off-the-shelf encoder takes per image, as the atlas of models says."""
        embed = self.config.embed
        model = of_spec(embed.model, embed.model) if embed is not None and embed.source == "image" else None
        return None if model is None else model.image_gflops

    @property
    def _compared(self) -> float:
        """Centres that k-means compares a row with: all, or the heads of groups and those in the nearest groups."""
        cluster = self.config.cluster
        assert cluster is not None
        if cluster.search == "exact":
            return cluster.k
        groups = math.isqrt(cluster.k)
        return groups + min(PROBES, groups) * cluster.k / groups

    def seconds(self, work: Work) -> float | None:
        """The time of products on all GPUs together."""
        return None if work.operations is None else work.operations / (work.rate * 1e12 * self.gpus)

    def table(self) -> str:
        """All of it, as Markdown."""
        images = "an unknown number of images (--images)" if self.images is None else f"{self.images:,} images"
        lines = [f"{self.config.name} on {self.gpus} GPU{'s' if self.gpus > 1 else ''}, {images}", ""]
        memory = {stage: self.memory(stage) for stage in self.costs}
        lines += [f"| memory of each GPU, GiB | {' | '.join(memory)} |", f"|---|{'--:|' * len(memory)}"]
        for row in memory["fit"]:
            lines.append(f"| {row} | {' | '.join(_gib(of_stage[row]) for of_stage in memory.values())} |")
        for title, part in (("host memory for each GPU, GiB", self.host()), ("disk, GiB", self.disk())):
            lines += ["", f"| {title} | |", "|---|--:|", *(f"| {row} | {_gib(size)} |" for row, size in part.items())]
        lines += ["", "| products | operations | TFLOP/s of a GPU | time |", "|---|--:|--:|--:|"]
        for work in self.work():
            seconds = self.seconds(work)
            operations = "?" if work.operations is None else f"{work.operations:.2g}"
            time = "?" if seconds is None else f"{seconds:.2g} s" if seconds < 90 else duration(seconds)
            lines.append(f"| {work.what} | {operations} | {work.rate:g} | {time} |")
        return "\n".join([*lines, "", *self._notes()])

    def _notes(self) -> Iterator[str]:
        if self.config.embed is not None:
            yield f"Off-the-shelf features are taken to have {self.dim} dimensions."
            if self._gflops is None:
                yield f"Not counted: the forward passes of {self.config.embed.model} in embed."
        for name, labels in label_sets(self.config).items():
            if labels.nearest is None:
                key = f"assign{'' if name == LABELS else f'.heads.{name}'}.vocabulary"
                classes = num_classes(self.config)[name]
                yield f"Counted with {USUAL} labels per image and {classes:,} classes ({key})."
        step = sum(work.operations / work.rate for work in self.step_work("fit")) / 1e12
        share = self.config.fit.batch_size / self.gpus
        yield f"At these rates fit needs {share / step:,.0f} images/s for each GPU from its workers (data.workers)."
        yield (
            "Rates are assumed (--rate sets that of the towers); reading data and exchanging gradients are not counted."
        )


def _gib(size: float | None) -> str:
    return "?" if size is None else f"{size / GIB:,.2f}" if size < 100 * GIB else f"{size / GIB:,.0f}"
