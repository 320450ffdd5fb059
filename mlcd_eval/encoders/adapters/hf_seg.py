"""`hf-seg:ORG/NAME`: models that segment by remote code, with MLCD-Seg's interface; only with --trust-remote-code."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.bounds import check_model
from mlcd_eval.encoders.identity import code_beside, settings_digest, settings_of, tokenizer_settings
from mlcd_eval.encoders.places import pretrained_name
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.weights import as_checkpoint_error, num_params
from mlcd_eval.errors import ConfigError, IncompatibleError

PROMPT = "Could you provide a segmentation mask for the {expression} in this image?"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """AutoModel with `seg(image, prompt, tokenizer, force_seg=...)` and its AutoTokenizer (not the fast one)."""
    if not spec.trust_remote_code:
        raise ConfigError(f"--model {spec.text!r} runs code that its repository ships: expected --trust-remote-code")
    where = pretrained_name(spec.target)
    options = {"trust_remote_code": True, "local_files_only": spec.offline}
    config, _ = transformers.PreTrainedConfig.get_config_dict(where, local_files_only=spec.offline)
    check_model(f"--model {spec.text!r}: its config", config)
    model = transformers.AutoModel.from_pretrained(where, dtype="auto", **options)
    tokenizer = transformers.AutoTokenizer.from_pretrained(where, use_fast=False, **options)
    if not hasattr(model, "seg"):
        raise IncompatibleError(
            f"--model {spec.text!r}: {type(model).__name__} has no seg(image, prompt, tokenizer, force_seg=...)"
        )
    return SegmentingModel(spec, model, tokenizer)


class SegmentingModel(Encoder):
    """With force_seg, as in the authors' evaluation: a mask even where the model would have answered in words."""

    def __init__(self, spec: Spec, model: Any, tokenizer: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(
                settings_of(model.config),
                tokenizer_settings(tokenizer),
                code_beside(type(model)),
            ),
            preprocessing="the model's own",
            layers={},
            image_size=(0, 0),
            num_params=num_params(model),
            has_text=False,
            abilities=("segment",),
            extra={"prompt": PROMPT, "force_seg": "true"},
        )

    def segment(self, image: Image.Image, expression: str) -> np.ndarray:
        """bool (h, w): the model's first mask, which holds 0 and 1 or logits."""
        prompt = PROMPT.replace("{expression}", expression)
        with torch.inference_mode():
            mask = self.model.seg(image, prompt, self._tokenizer, force_seg=True)
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        return mask.float().cpu().numpy() > 0 if isinstance(mask, torch.Tensor) else np.asarray(mask) > 0

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Convert the weights to a precision and move them."""
        self.model.to(device=device, dtype=PRECISIONS[precision])
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device
