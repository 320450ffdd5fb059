"""The training loop, the same for every objective: read it from top to bottom."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mlcd_eval.encoders.towers.vit import Block
from mlcd_eval.support.distributed import rank
from mlcd_eval.support.progress import Progress
from mlcd_train.between_steps import BetweenSteps, Evaluate
from mlcd_train.clock import Clock
from mlcd_train.data.batches import Batch, Positions
from mlcd_train.distributed import GradientMean
from mlcd_train.non_finite import NonFiniteLoss, Watch, non_finite
from mlcd_train.objectives.base import Objective
from mlcd_train.optimizer import WeightAverage, learning_rate, make_optimizer
from mlcd_train.profiling import StepProfiler
from mlcd_train.runlog import RunLog
from mlcd_train.saving import StateWriter
from mlcd_train.sections import LoopConfig, OptimizerConfig
from mlcd_train.sharding import clip_gradients, is_sharded, local
from mlcd_train.state import TrainingState

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
    if state.step == 0:
        _check_warm_up(config.optimizer, steps, title, progress)
    log = RunLog(folder, state.step, title, config.log_to) if rank() == 0 else None
    parameters = [parameter for _, parameter in objective.parameters]
    mean = GradientMean([p for p in parameters if not is_sharded(p)])  # FSDP averages the others
    states = StateWriter(folder / "state", identity, config.keep)

    def failed(step: int, what: str, value: float, expected: str = "a number") -> NonFiniteLoss:
        states.wait()  # the advice is to go on from the last one
        return non_finite(title, folder, config.optimizer.lr, step, what, value, expected)

    watch = Watch(device, scaler.is_enabled(), failed)
    clock = Clock(device)
    objective.enter = clock.enter
    between = BetweenSteps(title, steps, config, device, state, states, watch, clock, log, average, evaluate, progress)
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
            _mark(parameters, objective.finite())
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
            advance(1)
            profiler.step()
            between.act(batch, terms, lr, norm)
    if clock.shares():
        progress.say(f"{title}: time of its steps: {clock.shares()}")
    if average is not None:
        average.swap()


def _check_warm_up(optimizer: OptimizerConfig, steps: int, title: str, progress: Progress) -> None:
    """Say it where a training ends within its warm-up."""
    if optimizer.warmup >= steps:
        reached = learning_rate(steps - 1, steps, optimizer)
        progress.say(
            f"{title}: warm-up takes {optimizer.warmup:,} steps and training {steps:,}, so that the learning rate ends "
            f"at {reached:.2g} of {optimizer.lr:g}"
        )


def _mark(parameters: Sequence[torch.nn.Parameter], finite: Tensor | None) -> None:
    """Put NaN into a gradient where the objective's own are not finite: scaler and norm look at nothing else."""
    if finite is not None:
        mark = torch.zeros((), device=finite.device).masked_fill(~finite, torch.nan)
        local(next(p.grad for p in parameters if p.grad is not None)).add_(mark)


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


def _on(batch: Batch, device: torch.device) -> Batch:
    if batch.images.device.type == device.type:
        return batch
    images = batch.images.pin_memory().to(device, non_blocking=True)
    return replace(batch, images=images)


class _Closed:
    def close(self) -> None:
        """Do nothing: this rank keeps no log."""
