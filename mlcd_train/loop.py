"""The training loop, the same for every objective: read it from top to bottom."""

from __future__ import annotations

import contextlib
import math
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mlcd_eval.encoders.towers.vit import Block
from mlcd_eval.errors import UserError
from mlcd_eval.support.distributed import rank, world_size
from mlcd_eval.support.progress import Progress
from mlcd_train.clock import Clock
from mlcd_train.data.batches import Bad, Batch, Positions
from mlcd_train.distributed import GradientMean
from mlcd_train.objectives.base import Objective
from mlcd_train.optimizer import WeightAverage, learning_rate, make_optimizer
from mlcd_train.profiling import StepProfiler
from mlcd_train.runlog import RunLog
from mlcd_train.saving import StateWriter
from mlcd_train.sections import LoopConfig
from mlcd_train.sharding import clip_gradients, is_sharded, local
from mlcd_train.state import TrainingState

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
Evaluate = Callable[[int], dict[str, float]]
"""Step -> metrics of the current model, on rank 0. Every rank calls it."""


class NonFiniteLoss(UserError):
    """A loss, gradient or loss scale became infinite, NaN or useless; the last state on disk is from before that."""


def train(
    objective: Objective,
    batches: Callable[[Positions | None], Iterator[Batch]],
    steps: int,
    config: LoopConfig,
    folder: Path,
    identity: str,
    device: torch.device,
    progress: Progress,
    title: str,
    evaluate: Evaluate | None = None,
    begin: Callable[[TrainingState], None] = lambda _: None,
) -> None:
    """Train up to step `steps`, from the last state in folder/state if there is one. The result, the weight average if
    config.ema asks for one, is left in the objective's parameters.

    batches: positions to start from (None: the beginning) -> endless batches. identity: digest of what a state must
    agree with. begin: called with the state of a training that has none on disk.
    Raises NonFiniteLoss, and CheckpointError for a state that is damaged or of another identity.
    """
    optimizer = make_optimizer(objective.parameters, config.optimizer)
    average = WeightAverage(objective.parameters, config.ema) if config.ema else None
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    sharded = config.shard == "fsdp"
    state = TrainingState(objective.parameters, optimizer, average, objective.centres(), scaler, sharded=sharded)
    if state.load(folder / "state", identity):
        progress.say(f"{title}: resumes at step {state.step:,} of {steps:,}")
    else:
        begin(state)
    if state.step == 0 and config.optimizer.warmup >= steps:
        reached = learning_rate(steps - 1, steps, config.optimizer)
        progress.say(
            f"{title}: warm-up takes {config.optimizer.warmup:,} steps and training {steps:,}, so that the learning "
            f"rate ends at {reached:.2g} of {config.optimizer.lr:g}"
        )
    log = RunLog(folder, state.step, title, config.log_to) if rank() == 0 else None
    parameters = [parameter for _, parameter in objective.parameters]
    meter, mean = _Meter(), GradientMean([p for p in parameters if not is_sharded(p)])  # FSDP averages the others
    states = StateWriter(folder / "state", identity, config.keep)

    def failed(step: int, what: str, value: float, expected: str = "a number") -> NonFiniteLoss:
        states.wait()  # the advice is to go on from the last one
        return _non_finite(title, folder, config.optimizer.lr, step, what, value, expected)

    watch = _Watch(device, scaler.is_enabled(), failed)
    clock = Clock(device)
    objective.enter = clock.enter
    stream = zip(range(state.step, steps), batches(state.positions) if state.step < steps else (), strict=False)

    def following() -> tuple[int, Batch] | None:
        """The next step and its batch, which the objective is prepared for; None after the last one."""
        clock.enter("data")
        coming = next(stream, None)
        if coming is not None:
            objective.prepare(coming[1], coming[0])
        return coming

    profiler = StepProfiler(config.profile if rank() == 0 else 0, folder, title, device, progress)
    with (
        progress.stage(title, steps - state.step, "steps") as advance,
        contextlib.closing(log or _Closed()),
        contextlib.closing(mean),
        contextlib.closing(states),
        contextlib.closing(profiler),
    ):
        coming = following()
        while coming is not None:
            step, batch = coming
            clock.enter("forward")
            lr = learning_rate(step, steps, config.optimizer)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["scale"]
            on_device = _on(batch, device)
            with autocast(device, config.precision):
                terms = objective.step(on_device, step, config.accumulation, partial(_backward, scaler, clock))
            coming = following()  # while the device is at work on this step
            clock.enter("optimizer")
            grad_scale = scaler.get_scale()
            mean.finish()
            finite = objective.finite()
            if finite is not None:  # marked in a parameter's gradient: scaler and norm look at nothing else
                mark = torch.zeros((), device=device).masked_fill(~finite, torch.nan)
                local(next(p.grad for p in parameters if p.grad is not None)).add_(mark)
            scaler.unscale_(optimizer)
            norm = clip_gradients(parameters, config.optimizer.grad_clip or math.inf)
            watch.see(step, terms["loss"], norm)
            scaler.step(optimizer)
            if not scaler.is_enabled() or norm.isfinite():  # else the fp16 scaler has skipped this step
                objective.update(lr, config.optimizer, grad_scale)
                clock.enter("optimizer")
            scaler.update()
            if scaler.is_enabled() and scaler.get_scale() < 1:
                raise failed(step, "fp16 loss scale", scaler.get_scale(), "at least 1")
            optimizer.zero_grad(set_to_none=True)
            if average is not None:
                average.update(step)

            clock.enter("other")
            state.step, state.positions = step + 1, batch.after
            meter.add(len(batch.keys) * world_size(), batch.bad)
            advance(1)
            profiler.step()
            evaluated = config.evaluate.every if config.evaluate is not None else steps
            logs, saves, tests = (
                state.step % every == 0 or state.step == steps
                for every in (config.log_every, config.save_every, evaluated)
            )
            if logs or saves or tests:
                watch.check()
            if log is not None and logs:
                values = {name: float(value) for name, value in terms.items()}
                pace = meter.read(device) | clock.read()
                log.write(state.step, {**values, "lr": lr, "grad_norm": float(norm), **pace})
                if progress.verbosity == "verbose":
                    progress.say(_line(title, state.step, values["loss"], pace, clock))
            if evaluate and tests:
                with _averaged(average):
                    metrics = evaluate(state.step)
                meter.restart()
                if log is not None and metrics:
                    log.write(state.step, metrics)
            if saves:
                states.write(state)
    if clock.shares():
        progress.say(f"{title}: time of its steps: {clock.shares()}")
    if average is not None:
        average.swap()


def autocast(device: torch.device, precision: str) -> Any:
    """The context in which forward passes run with a precision; with fp32 it changes nothing."""
    if precision == "fp32":
        return contextlib.nullcontext()
    # In torch 2.6 to 2.9, weights cached by Contrast's pass without gradient get no gradient in the pass after it.
    return torch.autocast(device.type, dtype=AUTOCAST[precision], cache_enabled=False)


def checkpoint_activations(model: torch.nn.Module) -> None:
    """Keep only the inputs of transformer blocks for backward, which computes the rest again."""
    for module in model.modules():
        if isinstance(module, Block):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)  # type: ignore[method-assign]


def _backward(scaler: torch.amp.GradScaler, clock: Clock, loss: Tensor) -> None:
    clock.enter("backward")
    with torch.autocast(loss.device.type, enabled=False):  # what ran in fp32 goes back in fp32
        scaler.scale(loss).backward()
    clock.enter("forward")


def _line(title: str, step: int, loss: float, pace: Mapping[str, float], clock: Clock) -> str:
    bad = f", {pace['bad_images']:.0f} bad samples" if pace["bad_images"] else ""
    return f"{title}: step {step:,}: loss {loss:.4g}, {pace['images_per_s']:,.0f} images/s ({clock.shares()}){bad}"


class _Watch:
    """Notes the first step whose loss or gradient norm is no number, on the device; the host looks when it needs to.

    scaled: fp16's norm may be infinite. error: of a step, what is no number, and its value.
    """

    def __init__(self, device: torch.device, scaled: bool, error: Callable[[int, str, float], NonFiniteLoss]) -> None:
        self._first = torch.tensor([-1.0, 0.0, 0.0], dtype=torch.float64, device=device)
        self._scaled, self._error = scaled, error

    def see(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Note a step."""
        norm = torch.zeros_like(norm) if self._scaled else norm
        now = torch.stack([torch.full_like(loss, step), loss, norm.to(loss)]).double()
        begins = ~now.isfinite().all() & (self._first[0] < 0)
        self._first = torch.where(begins, now, self._first)

    def check(self) -> None:
        """Raise NonFiniteLoss for the step that was noted. The host waits for the device."""
        step, loss, norm = self._first.tolist()
        if step >= 0:
            what, value = ("gradient norm", norm) if math.isfinite(loss) else ("loss", loss)
            raise self._error(int(step), what, value)


def _non_finite(
    title: str, folder: Path, lr: float, step: int, what: str, value: float, expected: str = "a number"
) -> NonFiniteLoss:
    """The error, with what to do: follow it and training goes on. lr: the setting."""
    stage, slower = folder.name, f"--set {folder.name}.optimizer.lr={lr / 2:g}"
    advice = f"run again with {slower}"
    if any((folder / "state").glob("step_*/state.json")):
        aside = folder.with_name(f"{stage}_diverged")
        advice = f"move {folder} to {aside} and run again with {slower}"
        if stage == "fit":
            advice += f" --set fit.continue_from={aside}, which goes on from its last state"
    return NonFiniteLoss(
        f"{title}: the {what} of step {step} is {value}, expected {expected}: {advice} (more warm-up, or bf16 instead "
        f"of fp16, may help too)"
    )


def _on(batch: Batch, device: torch.device) -> Batch:
    if batch.images.device.type == device.type:
        return batch
    images = batch.images.pin_memory().to(device, non_blocking=True)
    return replace(batch, images=images)


@contextlib.contextmanager
def _averaged(average: WeightAverage | None) -> Iterator[None]:
    if average is not None:
        average.swap()
    try:
        yield
    finally:
        if average is not None:
            average.swap()


class _Closed:
    def close(self) -> None:
        """Do nothing: this rank keeps no log."""


class _Meter:
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
