"""A model of transformers as an Encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from mlcd_eval.encoders.adapters.hf.reader import Reader
from mlcd_eval.encoders.adapters.hf.texts import Texts, text_features
from mlcd_eval.encoders.adapters.hf.transform import ImageTransform
from mlcd_eval.encoders.base import NO_TEXT, PATCHES, EncoderInfo
from mlcd_eval.encoders.blocks import found_stack
from mlcd_eval.encoders.families.choice import Choice
from mlcd_eval.encoders.identity import code_beside, settings_digest, settings_of, tokenizer_settings
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.sizes import sizes_of
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.value_patches import blocks_of
from mlcd_eval.encoders.weights import check_vocabulary, num_params


class HFEncoder(TorchEncoder):
    """penultimate: the pooled feature that `info.extra["pooling"]` names.

    texts: None without a text tower, a text that says why texts cannot be encoded for other reasons.
    """

    def __init__(
        self,
        spec: Spec,
        model: Any,
        choice: Choice,
        preprocess: ImageTransform,
        texts: Texts | str | None,
        *,
        has_pooler: bool = True,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.preprocess = preprocess
        self._recipe = choice.family.text
        self._texts = texts if isinstance(texts, Texts) else None
        self._reader = Reader(model, choice.family, spec.options, has_pooler)
        pixels = preprocess(Image.new("RGB", (64, 64)))
        mask = self._reader.mask(pixels[None])
        with torch.inference_mode():
            self._reader.choose(pixels[None], spec.options.get("pool"), spec.text)
            probe, self.stack = found_stack(
                model,
                self._reader.blocks_path(model),
                lambda: self._layers(pixels[None]),
                has_class=self._reader.has_class,
                tokens_of_patches=None if mask is None else mask.shape[1],
            )
        layers = {layer: tensor.shape[-1] for layer, tensor in probe.items()}
        pooling = self._reader.in_words()
        treatment = {} if self._texts is None else {"text": self._texts.in_words()}
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(
                settings_of(model.config),
                self._texts and tokenizer_settings(self._texts.tokenizer),
                pooling,
                treatment,
                code_beside(type(model)) if choice.remote else [],
            ),
            preprocessing=str(preprocess),
            layers=layers,
            image_size=(pixels.shape[1], pixels.shape[2]),
            num_params=num_params(model),
            has_text=self._texts is not None,
            no_text=texts if isinstance(texts, str) else NO_TEXT,
            context_length=self._texts.length if self._texts else None,
            extra={"class": choice.name, "pooling": pooling, **treatment},
            blocks=blocks_of(self.stack, layers),
            sizes=self._reader.positions
            and sizes_of(
                (pixels.shape[1], pixels.shape[2]),
                probe.get(PATCHES),
                preprocess,
                self._reader.positions,
                self._reader.patch,
            ),
        )

    def _of_size(self, size: tuple[int, int]) -> HFEncoder:
        other = copy.copy(self)
        other._reader = self._reader.resized()
        return other

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return self._reader(pixels)

    def _to_joint(self, tokens: torch.Tensor) -> torch.Tensor:
        assert self._reader.projection is not None, "a tower with projected patches"
        joint: torch.Tensor = self._reader.projection(tokens)
        return joint

    def _mask(self, pixels: torch.Tensor) -> torch.Tensor | None:
        return self._reader.mask(pixels)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """By the model's tokenizer, as its family was trained to take texts."""
        if self._texts is None or self._recipe is None:
            return super().encode_texts(texts)
        inputs = self._texts(texts, self.device)
        size = getattr(getattr(self.model.config, "text_config", self.model.config), "vocab_size", None)
        check_vocabulary(self.info.spec, int(inputs["input_ids"].max()), size)
        return text_features(self.model, self._recipe, inputs)

    def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """By the model's tokenizer."""
        return None if self._texts is None else self._texts.counted(texts)
