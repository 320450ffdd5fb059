"""`vlm:ORG/NAME`, `vlm:PATH`: vision-language models of transformers (LLaVA, LLaVA-OneVision, Qwen2-VL and later)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from PIL import Image

from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.bounds import check_model
from mlcd_eval.encoders.identity import settings_digest, settings_of, tokenizer_settings
from mlcd_eval.encoders.places import pretrained_name
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.weights import as_checkpoint_error, num_params

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """AutoModelForImageTextToText with its AutoProcessor; `?device_map=auto` spreads a large model over devices."""
    where = pretrained_name(spec.target)
    options = {"trust_remote_code": spec.trust_remote_code, "local_files_only": spec.offline}
    config, _ = transformers.PreTrainedConfig.get_config_dict(where, local_files_only=spec.offline)
    check_model(f"--model {spec.text!r}: its config", config)
    device_map = spec.options.get("device_map")
    processor = transformers.AutoProcessor.from_pretrained(where, **options)
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        where, dtype="auto", **options, **({"device_map": device_map} if device_map else {})
    )
    return VisionLanguageModel(spec, model, processor, placed=device_map is not None)


class VisionLanguageModel(Encoder):
    """Answers greedily. The questions of a batch are padded on the left, so that all answers begin at one position."""

    def __init__(self, spec: Spec, model: Any, processor: Any, placed: bool) -> None:
        self.model = model.eval().requires_grad_(False)
        self.processor = processor
        self._placed = placed
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(
                *map(settings_of, (model.config, model.generation_config, processor.image_processor, processor)),
                tokenizer_settings(tokenizer),
                [processor.chat_template, tokenizer.chat_template],
            ),
            preprocessing=type(processor).__name__,
            layers={},
            image_size=(0, 0),
            num_params=num_params(model),
            has_text=False,
            abilities=("answer",),
            extra={
                "chat_template": "the processor's" if self._template() else "none: <image> and the question",
                "checkpoint_dtype": str(model.dtype).removeprefix("torch."),
            },
        )

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int = 32) -> list[str]:
        """Decoded greedily, without the prompt."""
        prompts = [self._prompt(question) for question in questions]
        inputs = self.processor(images=list(images), text=prompts, padding=True, return_tensors="pt")
        inputs = inputs.to(self.device, dtype=self.model.dtype)
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=self.processor.tokenizer.pad_token_id,
            )
        answers = output[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)]

    def _template(self) -> bool:
        return bool(self.processor.chat_template or self.processor.tokenizer.chat_template)

    def _prompt(self, question: str) -> str:
        if not self._template():
            return f"{self.processor.image_token}\n{question}"
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Convert the weights to bf16 or fp16 if asked, and move them unless device_map placed them.

        With fp32 they keep the checkpoint's type, which is mostly bf16: fp32 would add memory but no information.
        """
        if precision in PRECISIONS:
            self.model.to(dtype=PRECISIONS[precision])
        if not self._placed:
            self.model.to(device=device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the embeddings are."""
        return self.model.device
