"""What a step minimises: cluster discrimination (mlcd, mlc, cluster), contrast (clip), contrast with a locked image
tower (LiT). Each takes a batch in `parts` (gradient accumulation), with the loss and gradient of the whole batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.support.distributed import rank, world_size
from mlcd_train.centres import ClassCentres, Drawn
from mlcd_train.config import OptimizerConfig
from mlcd_train.data import Batch
from mlcd_train.distributed import add_up, gather_for_mean
from mlcd_train.losses import clip_loss

MAX_LOGIT_SCALE = math.log(100.0)
Backward = Callable[[Tensor], None]
"""Called with each part's share of the loss, in turn."""


class Objective:
    """parameters: what the optimizer moves. After `backward` has been called for a batch, `update` moves the rest."""

    parameters: list[tuple[str, nn.Parameter]]

    def step(self, batch: Batch, step: int, parts: int, backward: Backward) -> dict[str, float]:
        """Call `backward` on the loss of a batch, in parts whose losses add up; the terms to log, `loss` first."""
        raise NotImplementedError

    def finite(self) -> bool:
        """After backward, whether the gradients that the optimizer does not know of are numbers, on all ranks; every
        rank calls it."""
        return True

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """After the optimizer's step: what it does not know of."""

    def centres(self) -> ClassCentres | None:
        """The class centres, which the training state must hold."""
        return None


class ClusterDiscrimination(Objective):
    """Images against class centres: `labels_of` gives the (B, l) classes of keys. lr_factor: of the centres' rate."""

    def __init__(
        self, model: DualEncoder, centres: ClassCentres, labels_of: Callable[[Sequence[str]], Tensor], lr_factor: float
    ) -> None:
        self.model = model
        self.parameters = list(model.named_parameters())
        self._centres = centres
        self._labels_of = labels_of
        self._lr_factor = lr_factor
        self._drawn: Drawn | None = None

    def step(self, batch: Batch, step: int, parts: int, backward: Backward) -> dict[str, float]:
        """MLCD, MLC or a margin softmax, as the centres' objective says."""
        labels = self._labels_of(batch.keys).to(batch.images.device)
        self._drawn = self._centres.draw(labels, step)
        terms: dict[str, float] = {}
        for pixels, own in zip(batch.images.chunk(parts), labels.chunk(parts), strict=True):
            found = self._centres.forward(image_features(self.model, pixels), own, self._drawn)
            backward(found.loss / parts)
            part = {
                "loss": float(found.loss.detach()),
                "positive": found.positive,
                "negative": found.negative,
                "positive_cosine": found.positive_cosine,
                "negative_cosine": found.negative_cosine,
            }
            terms = {name: terms.get(name, 0.0) + value / parts for name, value in part.items()}
        return terms

    def finite(self) -> bool:
        """Of the drawn rows' gradients."""
        assert self._drawn is not None and self._drawn.rows.grad is not None
        return not add_up((~self._drawn.rows.grad.isfinite()).sum())

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """AdamW on the drawn rows."""
        assert self._drawn is not None
        self._centres.update(
            self._drawn, lr * self._lr_factor, config.betas, config.eps, config.weight_decay, grad_scale
        )

    def centres(self) -> ClassCentres:
        """All of this rank's."""
        return self._centres


class Contrast(Objective):
    """Image-text pairs against each other over all ranks (CLIP), with a learned temperature of at most 100.
    Each rank's loss is of its own rows against all.

    locked: the image tower does not learn (LiT); batches may then hold its features instead of pixels.
    """

    def __init__(self, model: DualEncoder, tokenize: Callable[[list[str]], Tensor], locked: bool = False) -> None:
        assert model.text is not None and model.logit_scale is not None
        self.model = model
        self.locked = locked
        learns = ("text.", "logit_scale") if locked else ("",)
        self.parameters = [(name, p) for name, p in model.named_parameters() if name.startswith(learns)]
        self._tokenize = tokenize
        self._text, self._logit_scale = model.text, model.logit_scale

    def step(self, batch: Batch, step: int, parts: int, backward: Backward) -> dict[str, float]:
        """With several parts (GradCache, Gao et al. 2021) all features are computed first, without gradient, and the
        loss's gradient with respect to them is then carried back part by part."""
        tokens = self._tokenize(list(batch.texts)).to(batch.images.device)
        pairs = list(zip(batch.images.chunk(parts), tokens.chunk(parts), strict=True))
        if parts == 1:
            image, text = self._features(*pairs[0])
            loss, terms = self._loss(image, text)
            backward(loss)
            return terms
        with torch.no_grad():
            made = [self._features(*pair) for pair in pairs]
        image, text = (torch.cat(side).requires_grad_() for side in zip(*made, strict=True))
        loss, terms = self._loss(image, text)
        backward(loss)
        assert image.grad is not None and text.grad is not None
        grads = zip(image.grad.chunk(parts), text.grad.chunk(parts), strict=True)
        for pair, (image_grad, text_grad) in zip(pairs, grads, strict=True):
            image, text = self._features(*pair)
            _carry_back([(image, image_grad), (text, text_grad)])
        return terms

    def _features(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Unit rows, float32."""
        if self.locked:
            with torch.no_grad():
                image = images if images.dim() == 2 else image_features(self.model, images)
        else:
            image = image_features(self.model, images)
        return normalize(image.float(), dim=1), normalize(self._text(tokens).float(), dim=1)

    def _loss(self, image: Tensor, text: Tensor) -> tuple[Tensor, dict[str, float]]:
        scale = self._logit_scale.exp()
        loss = clip_loss(image, text, scale, gather_for_mean(image), gather_for_mean(text), rank() * len(image))
        with torch.no_grad():
            own = (image * text).sum(dim=1)
            others = ((image @ text.T).sum() - own.sum()) / max(len(image) * (len(image) - 1), 1)
        return loss, {
            "loss": float(add_up(loss.detach())) / world_size(),
            "positive_cosine": float(own.mean()),
            "negative_cosine": float(others),
            "logit_scale": float(scale.detach()),
        }

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """Keep the temperature's factor at 100 at most."""
        with torch.no_grad():
            self._logit_scale.clamp_(0, MAX_LOGIT_SCALE)


def _carry_back(outputs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Backward from several tensors with their gradients; one that needs none is left out."""
    wanted = [(tensor, grad) for tensor, grad in outputs if tensor.requires_grad]
    with torch.autocast(wanted[0][0].device.type, enabled=False):  # what ran in fp32 goes back in fp32
        torch.autograd.backward([tensor for tensor, _ in wanted], [grad for _, grad in wanted])


def image_features(model: DualEncoder, pixels: Tensor) -> Tensor:
    """(B, D) in the space where the objective works: projected where there is a projection, else pooled."""
    pooled, _ = model.visual(pixels)
    return pooled if model.projection is None else pooled @ model.projection
