"""Contrast of image-text pairs: CLIP, and LiT where the image tower is locked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder, tokenizer
from mlcd_eval.support.distributed import rank, world_size
from mlcd_train.data.batches import Batch
from mlcd_train.distributed import add_up, gather_for_mean
from mlcd_train.drops import NOTHING, DropRule, Drops
from mlcd_train.host import upload
from mlcd_train.losses import clip_loss
from mlcd_train.objectives.base import (
    Backward,
    Needs,
    Objective,
    ObjectiveInputs,
    ObjectiveSettings,
    image_features,
    learning,
)
from mlcd_train.sections import OptimizerConfig

MAX_LOGIT_SCALE = math.log(100.0)


class Clip(ObjectiveSettings):
    """Both towers from scratch by contrast (CLIP, Radford et al. 2021). It has no settings of its own."""

    needs: ClassVar[Needs] = Needs(captions=True)
    name: Literal["clip"] = "clip"

    def build(self, inputs: ObjectiveInputs) -> Contrast:
        """Contrast of both towers."""
        assert inputs.model.config.text is not None
        return Contrast(inputs.model, tokenizer(inputs.model.config.text), drops=inputs.drops)


class Contrast(Objective):
    """Image-text pairs against each other over all ranks (CLIP), with a learned temperature whose factor is at most
    100. Each rank computes the loss of its own rows against all rows.

    tokenize: texts -> (B, context) token ids. locked: the image tower does not learn (LiT); batches may then hold its
    features instead of pixels. drops: what each step leaves out of an image tower that learns.
    """

    def __init__(
        self,
        model: DualEncoder,
        tokenize: Callable[[list[str]], Tensor],
        locked: bool = False,
        drops: DropRule = NOTHING,
    ) -> None:
        assert model.text is not None and model.logit_scale is not None
        self.model = model
        self.locked = locked
        learns = ("text.", "logit_scale") if locked else ("",)
        self.parameters = [(name, p) for name, p in learning(model) if name.startswith(learns)]
        self._tokenize, self._drops = tokenize, drops
        self._text, self._logit_scale = model.text, model.logit_scale

    def step(self, batch: Batch, step: int, parts: int, backward: Backward) -> dict[str, Tensor]:
        """With several parts (GradCache, Gao et al. 2021) all features are computed first, without gradient, and the
        loss's gradient with respect to them is then carried back part by part."""
        tokens = upload(self._tokenize(list(batch.texts)), batch.images.device)
        drops = self._drops.of(step, len(tokens), batch.images.device).chunk(parts)
        pairs = list(zip(batch.images.chunk(parts), tokens.chunk(parts), drops, strict=True))
        if parts == 1:
            image, text = self._features(*pairs[0])
            loss, terms = self._loss(image, text)
            backward(loss)
            return terms
        with torch.no_grad():
            features = [self._features(*pair) for pair in pairs]
        image, text = (torch.cat(side).requires_grad_() for side in zip(*features, strict=True))
        loss, terms = self._loss(image, text)
        backward(loss)
        assert image.grad is not None and text.grad is not None
        grads = zip(image.grad.chunk(parts), text.grad.chunk(parts), strict=True)
        for pair, (image_grad, text_grad) in zip(pairs, grads, strict=True):
            image, text = self._features(*pair)
            _carry_back([(image, image_grad), (text, text_grad)])
        return terms

    def _features(self, images: Tensor, tokens: Tensor, drops: Drops) -> tuple[Tensor, Tensor]:
        """Unit rows, float32."""
        if self.locked:
            with torch.no_grad():
                image = images if images.dim() == 2 else image_features(self.model, images)
        else:
            image = image_features(self.model, images, drops)
        return normalize(image.float(), dim=1), normalize(self._text(tokens).float(), dim=1)

    def _loss(self, image: Tensor, text: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        scale = self._logit_scale.exp()
        loss = clip_loss(image, text, scale, gather_for_mean(image), gather_for_mean(text), rank() * len(image))
        with torch.no_grad():
            matching = (image * text).sum(dim=1)
            others = ((image @ text.T).sum() - matching.sum()) / max(len(image) * (len(image) - 1), 1)
        return loss, {
            "loss": add_up(loss.detach()) / world_size(),
            "positive_cosine": matching.mean(),
            "negative_cosine": others,
            "logit_scale": scale.detach(),
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
