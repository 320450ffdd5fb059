"""How long open_clip's text towers let texts be, and how long texts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer, basic_clean, canonicalize_text

from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import IncompatibleError


def asked_context(spec: Spec, config: Mapping[str, Any]) -> int | None:
    """Return the number of tokens that the spec asks for, to which open_clip interpolates its own towers' positions;
    None where it does not ask. Raises IncompatibleError for a tower of transformers, whose positions are its own."""
    if "context" not in spec.options:
        return None
    text = config.get("text_cfg", {})
    if "hf_model_name" in text:
        raise IncompatibleError(
            f"--model {spec.text!r}: got context={spec.options['context']} for the text tower {text['hf_model_name']}, "
            "whose positions open_clip does not interpolate, expected no context"
        )
    return int(spec.options["context"])


def with_context(config: Mapping[str, Any], context: int | None) -> Mapping[str, Any]:
    """Return a model's config as it was built."""
    if context is None:
        return config
    return {**config, "text_cfg": {**config.get("text_cfg", {}), "context_length": context}}


def counted(tokenizer: Any, texts: Sequence[str]) -> list[int] | None:
    """Return how many tokens texts have before they are cut; None of a tokenizer that is not known, or drops tokens on
    purpose."""
    if isinstance(tokenizer, SimpleTokenizer) and tokenizer.reduction_fn is None:
        return [len(tokenizer.encode(text)) + 2 for text in texts]  # with start and end
    if isinstance(tokenizer, SigLipTokenizer):
        cleaned = [canonicalize_text(basic_clean(text)) for text in texts]
    elif isinstance(tokenizer, HFTokenizer) and not tokenizer.tokenizer_mode:
        cleaned = [tokenizer.clean_fn(text) for text in texts]
    else:
        return None
    return [len(ids) for ids in tokenizer.tokenizer(cleaned, truncation=False, padding=False, verbose=False).input_ids]
