"""Images against the rows of classes, whatever the loss: settings, draws, and the steps of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.nn.functional import pad

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.errors import ConfigError
from mlcd_train.class_rows import Chosen, ClassRows, Drawn
from mlcd_train.data.batches import Batch
from mlcd_train.distributed import add_up
from mlcd_train.drops import NOTHING, DropRule
from mlcd_train.labels import LabelFiles, LabelsInfo
from mlcd_train.objectives.base import (
    ImageObjective,
    Needs,
    ObjectiveInputs,
    ObjectiveSettings,
)
from mlcd_train.row_files import CENTRES
from mlcd_train.sections import Fraction, OptimizerConfig, Positive


class ClassSettings(ObjectiveSettings):
    """Settings that all objectives with classes share.

    ratio: r. A step draws r of all classes at random besides every positive of the whole batch. positives_count: r of
    all classes with those positives among them, as PartialFC's code does it. batch_positives: whether other images'
    positives are negatives of an image even if they were not drawn (`negatives`, as in PartialFC; where they do not
    count, that makes a larger share than r: 0.31 with r = 0.1, 1,000,000 classes, batch 32,768 and 8 labels per image)
    or not (`drawn_only`). centres: start from the clusters' centres (`clusters`, needs an embed_dim equal to theirs) or
    from N(0, 0.01) (`random`).
    centres_lr: factor on the learning rate of the class rows.
    """

    needs: ClassVar[Needs] = Needs(clusters=True)
    ratio: Fraction = 0.1
    positives_count: bool = False
    batch_positives: Literal["negatives", "drawn_only"] = "negatives"
    centres: Literal["random", "clusters"] = "random"
    centres_lr: Positive = 1.0

    @property
    def drawn_only(self) -> bool:
        """Whether only classes drawn at random are negatives."""
        return self.batch_positives == "drawn_only"

    def labels(self, inputs: ObjectiveInputs) -> LabelFiles:
        """The labels; raises ConfigError for several per image where the objective takes one."""
        labels = inputs.read_labels(inputs.labels)
        if self.needs.one_label and labels.info.labels != 1:
            raise ConfigError(
                f"fit.objective {self.name}: got {labels.info.labels} labels per image (assign.labels), expected 1"
            )
        return labels

    def rows(self, inputs: ObjectiveInputs, labels: LabelsInfo, linear: bool = False) -> dict[str, Any]:
        """What ClassRows takes for the classes of labels; raises ConfigError if the clusters' dimension is not the
        model's."""
        shape = inputs.model.config
        dim = shape.embed_dim or shape.vision.width
        start = inputs.read_centres() if self.centres == "clusters" else None
        if start is not None and start.shape[1] != dim:
            raise ConfigError(
                f"fit.objective.centres is clusters, of {start.shape[1]} dimensions: expected model.embed_dim equal to "
                f"that, got {dim}"
            )
        return {
            "num_classes": labels.num_classes,
            "dim": dim,
            "ratio": self.ratio,
            "seed": inputs.seed,
            "centres": pad(start, (0, 1)) if start is not None and linear else start,
            "linear": linear,
            "device": str(inputs.device),
            "positives_count": self.positives_count,
            "products": inputs.products,
            "vocabulary": labels.centres,
        }


LabelsOf = Callable[[Sequence[str]], Tensor]
"""Keys -> (B, l) classes."""


class ClassObjective(ImageObjective):
    """Images against class rows; a subclass says how they are compared.

    lr_factor: on the learning rate of the centres.
    """

    def __init__(
        self, model: DualEncoder, centres: ClassRows, labels_of: LabelsOf, lr_factor: float, drops: DropRule = NOTHING
    ) -> None:
        super().__init__(model, drops)
        self._centres = centres
        self._labels_of = labels_of
        self._lr_factor = lr_factor
        self._coming: tuple[Tensor, Chosen] | None = None
        self._drawn: Drawn | None = None
        self._labels: Sequence[Tensor] = ()

    def prepare(self, batch: Batch, step: int) -> None:
        """Find the images' labels, and choose the step's classes."""
        self.enter("centres")
        self._coming = self.chosen(self._labels_of(batch.keys), step)

    def chosen(self, labels: Tensor, step: int) -> tuple[Tensor, Chosen]:
        """Of an image's labels (B, l) those that a step learns, on the host, and the classes that it touches."""
        return labels, self._centres.choose(labels, step)

    def compare(self, features: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss () of features (B, D) with labels (B, l), which are on the host, and the terms to log, `loss` first:
        means over all ranks' images."""
        raise NotImplementedError

    def begin(self, parts: int) -> None:
        """Classes are drawn once for the whole batch; every part is compared with all of them."""
        assert self._coming is not None, "prepare comes before step"
        labels, chosen = self._coming
        self._drawn, self._labels = self._centres.read(chosen), labels.chunk(parts)

    def part(self, features: Tensor, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a part's features."""
        assert self._drawn is not None
        return self.compare(features, self._labels[number], self._drawn)

    def finite(self) -> Tensor:
        """Whether the gradients of the drawn rows are."""
        assert self._drawn is not None and self._drawn.rows.grad is not None
        return add_up((~self._drawn.rows.grad.isfinite()).sum()) == 0

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """AdamW on the drawn rows."""
        assert self._drawn is not None
        self.enter("centres")
        self._centres.update(
            self._drawn, lr * self._lr_factor, config.betas, config.eps, config.weight_decay, grad_scale
        )

    def centres(self) -> Mapping[str, ClassRows]:
        """This rank's class centres."""
        return {CENTRES: self._centres}
