"""Contrast of image-text pairs: CLIP, and LiT where the image tower is locked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder, tokenizer
from mlcd_eval.support.distributed import rank, world_size
from mlcd_train.data.batches import Batch
from mlcd_train.distributed import add_up, gather_for_mean
from mlcd_train.drops import NOTHING, DropRule, Drops
from mlcd_train.host import upload
from mlcd_train.losses import clip_loss, sigmoid_contrast_loss
from mlcd_train.objectives.base import (
    Backward,
    Needs,
    Objective,
    ObjectiveInputs,
    ObjectiveSettings,
    image_features,
    learning,
)
from mlcd_train.sections import ContrastLoss, OptimizerConfig

MAX_LOGIT_SCALE = math.log(100.0)


class Clip(ObjectiveSettings):
    """Both towers from scratch by contrast. loss: `softmax` over the batch (CLIP, Radford et al. 2021), or `sigmoid` of
    each pair (SigLIP, Zhai et al. 2023)."""

    needs: ClassVar[Needs] = Needs(captions=True)
    name: Literal["clip"] = "clip"
    loss: ContrastLoss = "softmax"

    def build(self, inputs: ObjectiveInputs) -> Contrast:
        """Contrast of both towers."""
        assert inputs.model.config.text is not None
        return Contrast(inputs.model, tokenizer(inputs.model.config.text), loss=self.loss, drops=inputs.drops)


class Contrast(Objective):
    """Image-text pairs against each other over all ranks, with a learned temperature: by softmax, its factor at most
    100 (CLIP), or by sigmoid, with a learned bias, which starts at -10, and the factor at 10 (SigLIP). Each rank
    computes the loss of its own rows against all rows.

    tokenize: texts -> (B, context) token ids. locked: the image tower does not learn (LiT); batches may then hold its
    features instead of pixels. drops: what each step leaves out of an image tower that learns.
    """

    def __init__(
        self,
        model: DualEncoder,
        tokenize: Callable[[list[str]], Tensor],
        locked: bool = False,
        loss: ContrastLoss = "softmax",
        drops: DropRule = NOTHING,
    ) -> None:
        assert model.text is not None and model.logit_scale is not None
        self.model = model
        self.locked = locked
        learns = ("text.", "logit_scale") if locked else ("",)
        self.parameters = [(name, p) for name, p in learning(model) if name.startswith(learns)]
        self._tokenize, self._drops = tokenize, drops
        self._text, self._logit_scale = model.text, model.logit_scale
        self._bias: nn.Parameter | None = None
        if loss == "sigmoid":
            with torch.no_grad():
                self._logit_scale.fill_(math.log(10.0))
            self._bias = nn.Parameter(torch.full_like(self._logit_scale, -10.0))
            self.parameters.append(("contrast.bias", self._bias))

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
        first, texts = rank() * len(image), gather_for_mean(text)
        if self._bias is None:
            loss = clip_loss(image, text, scale, gather_for_mean(image), texts, first)
        else:
            loss = sigmoid_contrast_loss(image, text, scale, self._bias, texts, first)
        with torch.no_grad():
            matching = (image * text).sum(dim=1)
            others = ((image @ text.T).sum() - matching.sum()) / max(len(image) * (len(image) - 1), 1)
        terms = {
            "loss": add_up(loss.detach()) / world_size(),
            "positive_cosine": matching.mean(),
            "negative_cosine": others,
            "logit_scale": scale.detach(),
        }
        return loss, terms if self._bias is None else {**terms, "bias": self._bias.detach()}

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """Keep the softmax's temperature factor at 100 at most."""
        if self._bias is None:
            with torch.no_grad():
                self._logit_scale.clamp_(0, MAX_LOGIT_SCALE)


def _carry_back(outputs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Backward from several tensors with their gradients; one that needs none is left out."""
    wanted = [(tensor, grad) for tensor, grad in outputs if tensor.requires_grad]
    with torch.autocast(wanted[0][0].device.type, enabled=False):  # what ran in fp32 goes back in fp32
        torch.autograd.backward([tensor for tensor, _ in wanted], [grad for _, grad in wanted])
