"""A training step without numbers: the trainer's own code on tensors that hold none, which counts what it would take.

Matrix products are counted by PyTorch's FlopCounter; bytes by following every tensor from its first operation to its
end. Ranks are pretended: this process is rank 0, and what the others would send has its shape.
"""

from __future__ import annotations

import contextlib
import math
import random
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder, tokenizer
from mlcd_train.checks import USUAL, num_classes
from mlcd_train.clock import Phase
from mlcd_train.config import TrainConfig
from mlcd_train.data.batches import Batch, Share
from mlcd_train.distributed import GradientMean
from mlcd_train.fit import build_objective, checkpoint_config, freeze, prepare
from mlcd_train.labels import LabelFiles, LabelsInfo
from mlcd_train.loop import autocast
from mlcd_train.objectives.base import Objective
from mlcd_train.objectives.contrast import Contrast
from mlcd_train.optimizer import WeightAverage, make_optimizer
from mlcd_train.sections import LABELS, LoopConfig
from mlcd_train.sharding import clip_gradients, is_sharded, local

CPU, GPU = torch.device("cpu"), torch.device("cuda")
ATTENTION = ("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_backward")
FORMULAS = {
    **{str(operation): formula for operation, formula in flop_registry.items()},
    **{
        f"aten.{name.replace('attention', 'attention_for_cpu')}": flop_registry[getattr(torch.ops.aten, name)]
        for name in ATTENTION
    },
}
"""PyTorch's counts of multiplications and additions. A CPU's attention keeps as little as a GPU's, and counts alike."""


@dataclass(frozen=True)
class StepCost:
    """Of one step on one rank. operations: by phase, multiplications and additions of matrix products. peak: the most
    bytes that its tensors take; lasting: those that stay between steps: weights, moments, average, class centres.
    parameters: those that learn."""

    operations: dict[Phase, int]
    peak: int
    lasting: int
    parameters: int

    @property
    def towers(self) -> int:
        """Operations outside the class centres."""
        return sum(self.operations.values()) - self.operations.get("centres", 0)


class SpreadLabels(LabelFiles):
    """Labels of images that are not there: different classes, each as likely as any. They are numbers, by which a step
    draws its negatives."""

    def __init__(self, config: TrainConfig, name: str = LABELS) -> None:
        classes = num_classes(config)[name] or 1
        labels = min(classes, config.assign.sets[name].nearest or USUAL) if config.assign is not None else 1
        self.info = LabelsInfo(images=0, labels=labels, num_classes=classes, dataset="", centres="")

    def classes_of(self, keys: Sequence[str]) -> Tensor:
        """Classes (B, l) int64."""
        classes = self.info.num_classes
        first = torch.randint(classes, (len(keys), 1), generator=torch.Generator().manual_seed(0))
        return (first + torch.arange(self.info.labels) * (classes // self.info.labels)) % classes

    def counts(self) -> Tensor:
        """Each class has one image."""
        return torch.ones(self.info.num_classes, dtype=torch.int64)


def step_cost(config: TrainConfig, stage: Literal["fit", "lit"], ranks: int) -> StepCost:
    """What a step of the stage takes on rank 0 of `ranks`. Raises ConfigError for a batch that they cannot share."""
    settings: LoopConfig = getattr(config, stage)
    Share(settings.batch_size, 0, ranks * settings.accumulation)
    ledger = _Ledger(min(num_classes(config).values(), default=1) or 1)
    without_numbers = FakeTensorMode(allow_non_fake_inputs=True)
    with _pretended(ranks), ledger:
        with without_numbers:
            model = _model(config, stage)
        prepare(model, settings.model_copy(update={"compile": False}), CPU)
        with without_numbers:
            objective = _objective(config, stage, model)
            parameters = [parameter for _, parameter in objective.parameters]
            for parameter in parameters:
                parameter.grad = torch.empty_like(parameter)
        optimizer = make_optimizer(objective.parameters, settings.optimizer)
        average = WeightAverage(objective.parameters, settings.ema) if settings.ema else None
        optimizer.step()  # makes the moments
        optimizer.zero_grad()
        lasting = ledger.live
        share = settings.batch_size // ranks
        with without_numbers:
            coming = _batch(config, stage, share)
        objective.prepare(coming, 0)
        ledger.peak = ledger.live
        objective.enter = ledger.enter
        mean = GradientMean([p for p in parameters if not is_sharded(p)])
        for step in range(2 if ranks > 1 else 1):  # from the second on gradients are exchanged during backward
            ledger.operations.clear()
            batch = coming
            with autocast(CPU, settings.precision):
                objective.step(batch, step, settings.accumulation, partial(_backward, ledger))
            with without_numbers:
                coming = _batch(config, stage, share)
            objective.prepare(coming, step + 1)
            ledger.enter("optimizer")
            mean.finish()
            clip_gradients(parameters, settings.optimizer.grad_clip or math.inf)
            optimizer.step()
            objective.update(1.0, settings.optimizer, 1.0)
            optimizer.zero_grad()
            ledger.enter("forward")
        if average is not None:
            average.update(0)
    return StepCost(dict(ledger.operations), ledger.peak, lasting, sum(p.numel() for p in parameters))


def _model(config: TrainConfig, stage: str) -> DualEncoder:
    """The towers that a stage trains, or has beside those that it trains."""
    shape = checkpoint_config(config.model, {})
    if stage == "lit" and config.lit is not None:
        shape = shape.model_copy(update={"text": config.lit.text})
    model = DualEncoder(shape)
    if stage == "fit":
        freeze(model, config.fit.freeze)
    return model


def _objective(config: TrainConfig, stage: str, model: DualEncoder) -> Objective:
    if stage == "lit" and config.lit is not None:
        return Contrast(model, tokenizer(config.lit.text), locked=True, loss=config.lit.loss)
    dim = model.config.embed_dim or model.config.vision.width
    clusters = config.cluster.k if config.cluster is not None else 0
    return build_objective(config, model, partial(SpreadLabels, config), lambda: torch.empty(clusters, dim), GPU)


def _batch(config: TrainConfig, stage: str, count: int) -> Batch:
    """Pixels, or the features of a locked tower that were computed before."""
    size = config.model.vision.image_size
    shape: tuple[int, ...] = (3, size, size)
    if stage == "lit" and config.lit is not None and config.lit.images == "cached":
        shape = (config.model.embed_dim or config.model.vision.width,)
    return Batch([""] * count, torch.empty(count, *shape), [""] * count, {})


def _backward(ledger: _Ledger, loss: Tensor) -> None:
    ledger.enter("backward")
    with torch.autocast("cpu", enabled=False):
        loss.backward()
    ledger.enter("forward")


class _Ledger(TorchDispatchMode):
    """Follows the bytes of all tensors that operations make, live now and at their peak, and counts the operations of
    matrix products by phase. classes: number of the labels' classes, the least of all sets."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.operations: Counter[Phase] = Counter()
        self._phase: Phase = "forward"
        self._classes = classes
        self._held: dict[int, Any] = {}  # storages that live, by address

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""
        self._phase = phase

    def __torch_dispatch__(self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        name = operation._schema.name
        if name == "aten::_local_scalar_dense" and isinstance(args[0], FakeTensor):
            return True if args[0].dtype == torch.bool else 1
        result = operation(*args, **(kwargs or {}))
        if name == "c10d::allgather_" and not isinstance(args[1][0], FakeTensor):
            for number, labels in enumerate(args[0][0]):  # other ranks' images have other classes
                labels.add_(random.Random(number).randrange(self._classes)).remainder_(self._classes)
        if (formula := FORMULAS.get(str(operation._overloadpacket))) is not None:
            self.operations[self._phase] += formula(*args, **(kwargs or {}), out_val=result)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                with torch.no_grad():
                    self._hold(local(leaf).untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._held:
            return

        def gone(_: object) -> None:
            self.live -= size
            del self._held[place]

        self._held[place] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)


@contextlib.contextmanager
def _pretended(ranks: int) -> Iterator[None]:
    """Make this process rank 0 of `ranks`, the others of which are not there."""
    if ranks == 1:
        yield
        return
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()
