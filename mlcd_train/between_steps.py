"""What a training does between its steps: lines of its log, measures of the current model, states on disk."""

from __future__ import annotations

import contextlib
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlcd_eval.support.distributed import world_size
from mlcd_eval.support.progress import Progress
from mlcd_train.clock import Clock
from mlcd_train.data.batches import Bad, Batch
from mlcd_train.non_finite import Watch
from mlcd_train.optimizer import WeightAverage
from mlcd_train.runlog import RunLog
from mlcd_train.saving import StateWriter
from mlcd_train.sections import LoopConfig
from mlcd_train.state import TrainingState

Evaluate = Callable[[int], dict[str, float]]
"""Step -> metrics of the current model, on rank 0. Every rank calls it."""


class Meter:
    """Images per second since the last reading, the peak of memory, and the number of bad samples."""

    def __init__(self) -> None:
        self._bad: Counter[str] = Counter()
        self.restart()

    def restart(self) -> None:
        """Start the clock again, after work that is not training."""
        self._images, self._started = 0, time.perf_counter()

    def add(self, images: int, bad: Sequence[Bad]) -> None:
        """Count a step's images over all ranks, and this rank's bad samples."""
        self._images += images
        self._bad.update(sample.reason for sample in bad)

    def read(self, device: torch.device) -> dict[str, float]:
        """images_per_s over all ranks; memory_gib, the peak of this rank (of its GPU if it has one); bad_images, those
        of this rank since it started, also by reason."""
        rate = self._images / max(time.perf_counter() - self._started, 1e-9)
        self.restart()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(device)
        reasons = {f"bad_images/{reason}": float(count) for reason, count in self._bad.items()}
        return {"images_per_s": rate, "memory_gib": peak / 2**30, "bad_images": self._bad.total(), **reasons}


@dataclass
class BetweenSteps:
    """log: None on ranks that keep none. average: the weights that are measured, None for the current ones."""

    title: str
    steps: int
    config: LoopConfig
    device: torch.device
    state: TrainingState
    states: StateWriter
    watch: Watch
    clock: Clock
    log: RunLog | None
    average: WeightAverage | None
    evaluate: Evaluate | None
    progress: Progress
    meter: Meter = field(default_factory=Meter)

    def act(self, batch: Batch, terms: Mapping[str, Tensor], lr: float, norm: Tensor) -> None:
        """Do what is due after the step that the state has reached. The host waits for the device only then."""
        self.meter.add(len(batch.keys) * world_size(), batch.bad)
        evaluated = self.config.evaluate.every if self.config.evaluate is not None else self.steps
        logs, saves, tests = map(self._is_due, (self.config.log_every, self.config.save_every, evaluated))
        if logs or saves or tests:
            self.watch.check()
        if self.log is not None and logs:
            self._write(self.log, {name: float(value) for name, value in terms.items()}, lr, float(norm))
        if self.evaluate is not None and tests:
            self._measure(self.evaluate)
        if saves:
            self.states.write(self.state)

    def _is_due(self, every: int) -> bool:
        return self.state.step % every == 0 or self.state.step == self.steps

    def _write(self, log: RunLog, values: Mapping[str, float], lr: float, norm: float) -> None:
        pace = self.meter.read(self.device) | self.clock.read()
        log.write(self.state.step, {**values, "lr": lr, "grad_norm": norm, **pace})
        if self.progress.verbosity == "verbose":
            bad = f", {pace['bad_images']:.0f} bad samples" if pace["bad_images"] else ""
            self.progress.say(
                f"{self.title}: step {self.state.step:,}: loss {values['loss']:.4g}, {pace['images_per_s']:,.0f} "
                f"images/s ({self.clock.shares()}){bad}"
            )

    def _measure(self, evaluate: Evaluate) -> None:
        with averaged(self.average):
            metrics = evaluate(self.state.step)
        self.meter.restart()
        if self.log is not None and metrics:
            self.log.write(self.state.step, metrics)


@contextlib.contextmanager
def averaged(average: WeightAverage | None) -> Iterator[None]:
    """The context in which the parameters are their average, if there is one."""
    if average is not None:
        average.swap()
    try:
        yield
    finally:
        if average is not None:
            average.swap()
