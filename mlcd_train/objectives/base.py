"""What every objective implements: its settings, which say what they need and build it, and its steps of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_train.class_rows import ClassRows
from mlcd_train.clock import Phase
from mlcd_train.data.batches import Batch
from mlcd_train.drops import NOTHING, WHOLE, DropRule, Drops
from mlcd_train.labels import LabelFiles
from mlcd_train.products import Products
from mlcd_train.sections import LABELS, Augmentation, OptimizerConfig, Section

Backward = Callable[[Tensor], None]
"""Called with each part's share of the loss, in turn."""


@dataclass(frozen=True)
class Needs:
    """What an objective asks of the rest of the config.

    clusters: the stages embed, cluster and assign, whose labels it learns. one_label: a single label per image.
    captions: data with captions, and a text tower that it trains together with the image tower.
    """

    clusters: bool = False
    one_label: bool = False
    captions: bool = False


@dataclass(frozen=True)
class ObjectiveInputs:
    """What an objective is built of. model: the towers to train, on their device. seed: of the whole run. drops: what
    each step leaves out of the image tower. products: of images and class centres.

    read_labels, read_centres: the labels of the training images, by their name in `assign`, and the cluster centres
    (K, D), read only when called; they are there for objectives that need clusters. labels: the name of those to learn.
    augmentation: of the images.
    """

    model: DualEncoder
    seed: int
    read_labels: Callable[[str], LabelFiles]
    read_centres: Callable[[], Tensor]
    drops: DropRule = NOTHING
    products: Products = "fp32"
    labels: str = LABELS
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return next(self.model.parameters()).device


class ObjectiveSettings(Section):
    """What `fit.objective` says of one objective. A subclass narrows `name` to a Literal with a default, and adds the
    objective's own settings."""

    needs: ClassVar[Needs]
    name: str

    @property
    def by_labels(self) -> Mapping[str, ObjectiveSettings]:
        """The objective of each set of labels, by its name in `assign`."""
        return {LABELS: self}

    def build(self, inputs: ObjectiveInputs) -> Objective:
        """The objective with these settings; raises ConfigError where they do not fit the inputs."""
        raise NotImplementedError


class Objective:
    """What a step of training minimises.

    parameters: the named parameters that the optimizer moves. Each batch is given to `prepare`, then to `step`; after
    its `backward` has been called, `update` moves whatever else the objective trains. enter: called where another phase
    begins of those that the log times, besides forward, in which a step starts, and backward.
    """

    parameters: list[tuple[str, nn.Parameter]]
    enter: Callable[[Phase], None] = staticmethod(lambda phase: None)

    def prepare(self, batch: Batch, step: int) -> None:
        """Do what a step needs of its batch but for pixels and weights, on the host: it is called while the device is
        at work on the step before, whose `update` is yet to come. Every rank calls it."""

    def step(self, batch: Batch, step: int, parts: int, backward: Backward) -> dict[str, Tensor]:
        """Call `backward` on the loss of a batch, in `parts` whose losses add up to the loss of the whole batch
        (gradient accumulation). Returns the terms to log, `loss` first, as numbers () on the device."""
        raise NotImplementedError

    def finite(self) -> Tensor | None:
        """Whether all gradients outside `parameters` are finite on all ranks: () on the device, None if there are none.
        Every rank calls it after backward."""
        return None

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """After the optimizer's step: move what is outside `parameters`, or keep a parameter within its range.

        grad_scale: the factor on the loss, hence on the gradients (fp16).
        """

    def centres(self) -> Mapping[str, ClassRows]:
        """The class rows, which the training state must hold, by the names of their files in it."""
        return {}


class ImageObjective(Objective):
    """What a step minimises is a function of features of images. drops: what each step leaves out of the tower."""

    def __init__(self, model: DualEncoder, drops: DropRule = NOTHING) -> None:
        self.model, self._drops = model, drops
        self.parameters = learning(model)

    def begin(self, parts: int) -> None:
        """Read what a step needs besides the features, for images that come in `parts`."""
        raise NotImplementedError

    def features(self, pixels: Tensor, left_out: Drops, number: int) -> Tensor:
        """Features (B, D) of the images of part `number`."""
        return image_features(self.model, pixels, left_out)

    def part(self, features: Tensor, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss () of the features (B, D) of a part, and the terms to log, `loss` first: means over all ranks'
        images."""
        raise NotImplementedError

    def step(self, batch: Batch, step: int, parts: int, backward: Backward) -> dict[str, Tensor]:
        """Part by part; what `begin` reads is read once for the whole batch."""
        self.enter("centres")
        self.begin(parts)
        terms: dict[str, Tensor] = {}
        drops = self._drops.of(step, len(batch.images), batch.images.device).chunk(parts)
        for number, (pixels, left_out) in enumerate(zip(batch.images.chunk(parts), drops, strict=True)):
            self.enter("forward")
            features = self.features(pixels, left_out, number)
            self.enter("centres")
            loss, of_part = self.part(features, number)
            loss.register_hook(lambda _: self.enter("centres"))  # in backward, until it reaches the tower
            features.register_hook(lambda _: self.enter("backward"))
            backward(loss / parts)
            terms = {name: value / parts + terms.get(name, 0.0) for name, value in of_part.items()}
        return terms


def learning(model: DualEncoder) -> list[tuple[str, nn.Parameter]]:
    """The model's parameters that are not frozen, with their names."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def image_features(model: DualEncoder, pixels: Tensor, drops: Drops = WHOLE) -> Tensor:
    """Pixels (B, 3, H, W) -> (B, D) in the space in which the objective works: projected if the model has a projection,
    else pooled. drops: what is left out."""
    pooled, _ = model.visual(pixels, drops.kept, drops.paths)
    return pooled if model.projection is None else pooled @ model.projection
