"""Several sets of labels at once, each with an objective, class rows and draws of its own, and a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_train.class_rows import ClassRows
from mlcd_train.data.batches import Batch
from mlcd_train.drops import NOTHING, DropRule
from mlcd_train.objectives.base import ImageObjective, Needs, ObjectiveInputs, ObjectiveSettings
from mlcd_train.objectives.classes import ClassObjective
from mlcd_train.objectives.discrimination import Cluster, Mlc, Mlcd
from mlcd_train.objectives.multi_sigmoid import MultiSigmoid
from mlcd_train.objectives.multi_softmax import MultiSoftmax
from mlcd_train.objectives.superclass import SuperClass
from mlcd_train.sections import OptimizerConfig, Positive, Section

SEEDS = 0x632BE5AB  # between the seeds of two heads; PyTorch's generator takes 32 bits of a seed

OfClasses = Mlcd | Mlc | Cluster | MultiSoftmax | MultiSigmoid | SuperClass


class Head(Section):
    """objective: of the head's labels, its name or its name with its own settings. weight: of its loss in the sum."""

    objective: Annotated[OfClasses, Field(discriminator="name")] = Mlcd()
    weight: Positive = 1.0

    @field_validator("objective", mode="before")
    @classmethod
    def _objective(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Heads(ObjectiveSettings):
    """The weighted sum of objectives over classes, one for each set of labels of `assign.heads`, by its name."""

    needs: ClassVar[Needs] = Needs(clusters=True)
    name: Literal["heads"] = "heads"
    heads: Annotated[dict[str, Head], Field(min_length=1)]

    @property
    def by_labels(self) -> Mapping[str, ObjectiveSettings]:
        """The objective of each head."""
        return {name: head.objective for name, head in self.heads.items()}

    def build(self, inputs: ObjectiveInputs) -> SeveralHeads:
        """Each head's objective on the same images. Their seeds differ, so that they draw other classes."""
        heads = {}
        for number, (name, head) in enumerate(self.heads.items()):
            own = replace(inputs, labels=name, seed=inputs.seed + number * SEEDS)
            heads[name] = head.objective.build(own)
        weights = {name: head.weight for name, head in self.heads.items()}
        return SeveralHeads(inputs.model, heads, weights, inputs.drops)


class SeveralHeads(ImageObjective):
    """Images against the classes of several heads, whose features are computed once. weights: of the heads' losses."""

    def __init__(
        self,
        model: DualEncoder,
        heads: Mapping[str, ClassObjective],
        weights: Mapping[str, float],
        drops: DropRule = NOTHING,
    ) -> None:
        super().__init__(model, drops)
        self._heads, self._weights = heads, weights
        of_model = {name for name, _ in self.parameters}
        for name, head in heads.items():
            own = [(key, parameter) for key, parameter in head.parameters if key not in of_model]
            self.parameters += [(f"{name}.{key}", parameter) for key, parameter in own]

    def prepare(self, batch: Batch, step: int) -> None:
        """Find the labels, and choose the classes, of each head."""
        self.enter("centres")
        for head in self._heads.values():
            head.prepare(batch, step)

    def begin(self, parts: int) -> None:
        """Read each head's rows."""
        for head in self._heads.values():
            head.begin(parts)

    def part(self, features: Tensor, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the heads' losses, and the terms of each under its name."""
        loss, terms = features.new_zeros((), dtype=torch.float32), dict[str, Tensor]()
        for name, head in self._heads.items():
            of_head, its_terms = head.part(features, number)
            loss = loss + self._weights[name] * of_head
            terms |= {f"{name}/{key}": value for key, value in its_terms.items()}
        return loss, {"loss": loss.detach(), **terms}

    def finite(self) -> Tensor:
        """Whether the gradients of all heads' rows are."""
        return torch.stack([head.finite() for head in self._heads.values()]).all()

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """AdamW on each head's rows."""
        self.enter("centres")
        for head in self._heads.values():
            head.update(lr, config, grad_scale)

    def centres(self) -> Mapping[str, ClassRows]:
        """This rank's class rows of each head."""
        return {f"{kind}_{name}": rows for name, head in self._heads.items() for kind, rows in head.centres().items()}
