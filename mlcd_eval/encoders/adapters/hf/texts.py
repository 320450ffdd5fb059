"""Texts as a family was trained to take them, whatever its tokenizer's files say."""

from __future__ import annotations

import string
import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from mlcd_eval.encoders.families.local import TOKENIZER_FILES
from mlcd_eval.encoders.families.rows import Text

SENTINELS = ("A Photo", "a photo")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def canonical(text: str) -> str:
    """Lower-cased and without punctuation: big_vision's canonicalize_text, which open_clip uses for SigLIP and SigLIP 2
    (big_vision/evaluators/proj/image_text/prompt_engineering.py)."""
    return " ".join(text.replace("_", " ").translate(_PUNCTUATION).lower().split())


CLEANINGS: dict[str, Callable[[str], str]] = {"lower": str.lower, "canonical": canonical, "none": str}


def tokenizer_of(where: str, options: dict[str, Any]) -> Any:
    """The tokenizer, or a text that says why there is none: images can be encoded all the same. Files of a tokenizer in
    a folder must be right; a hub repository cannot be listed offline, so there every failure counts as none."""
    folder = Path(where)
    if folder.is_dir() and not any((folder / file).is_file() for file in TOKENIZER_FILES):
        return f"has no tokenizer files in its folder ({', '.join(TOKENIZER_FILES)})"
    try:
        return transformers.AutoTokenizer.from_pretrained(where, **options)
    except (OSError, ValueError, ImportError) as error:
        reason = textwrap.shorten(str(error), 300, placeholder=" ...")
        if _lacks_a_package(error):
            return f"has a tokenizer that needs more packages: pip install 'mlcd-eval[hf]' ({reason})"
        if folder.is_dir():
            raise
        return f"has no tokenizer that can be loaded ({reason})"


def _lacks_a_package(error: Exception) -> bool:
    return isinstance(error, ImportError) or "sentencepiece" in str(error)


class Texts:
    """A tokenizer, and what is done to texts before and after it.

    A sentinel is tokenized when this is made, in both cases of its letters: it decides whether the tokenizer
    lower-cases by itself. Raises ValueError if the tokenizer cannot pad or cut to the length.
    """

    def __init__(self, tokenizer: Any, recipe: Text, length: int, cleaning: str | None) -> None:
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.length = length
        upper, lower = (self._tokens([text])["input_ids"][0].tolist() for text in SENTINELS)
        self.lower_cases = upper == lower and getattr(tokenizer, "unk_token_id", None) not in lower
        self.cleaning = cleaning or ("none" if recipe.clean == "lower" and self.lower_cases else recipe.clean)
        if self.lower_cases and recipe.clean == "none":
            warnings.warn(
                f"the tokenizer ({type(tokenizer).__name__}) lower-cases texts, but the model was trained on texts as "
                "they are written: its files may be those of another model",
                stacklevel=2,
            )
        self._check_length()

    def _check_length(self) -> None:
        """Raises ValueError unless a short and a long text fill at most the length, padding behind the short one."""
        tokens = self._tokens(["a", "a photo " * self.length])["input_ids"]
        width = tokens.shape[1]
        if width > self.length or (self.recipe.full and width < self.length):
            raise ValueError(f"it gives {width} tokens, expected {self.length}")
        if tokens[0, 0] == self.tokenizer.pad_token_id:
            raise ValueError("it puts padding before texts, expected it behind them")

    def __call__(self, texts: Sequence[str], device: torch.device) -> dict[str, torch.Tensor]:
        """Texts -> input_ids (T, L), and attention_mask (T, L) where the family takes one."""
        tokens = self._tokens([CLEANINGS[self.cleaning](text) for text in texts])
        names = ("input_ids", "attention_mask") if self.recipe.mask else ("input_ids",)
        return {name: tokens[name].to(device) for name in names if name in tokens}

    def _tokens(self, texts: list[str]) -> Any:
        """Padding is put behind the text, where every family had it in training."""
        return self.tokenizer(
            texts,
            padding="max_length" if self.recipe.full else True,
            padding_side="right",
            truncation=True,
            max_length=self.length,
            return_tensors="pt",
        )

    def counted(self, texts: Sequence[str]) -> list[int]:
        """How many tokens texts have before they are cut."""
        cleaned = [CLEANINGS[self.cleaning](text) for text in texts]
        return [len(ids) for ids in self.tokenizer(cleaned, truncation=False, padding=False, verbose=False).input_ids]

    def in_words(self) -> str:
        """The treatment of texts as records store it."""
        cleaned = {
            "lower": "lower-cased",
            "canonical": "lower-cased, punctuation removed",
            "none": "lower-cased by its tokenizer" if self.lower_cases else "case kept",
        }[self.cleaning]
        return f"{cleaned}, {self.recipe.padding(self.length)}"


def text_features(model: Any, recipe: Text, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Tokens -> (T, D) in the joint space."""
    if recipe.call == "itc":  # BLIP's image-text contrast
        hidden = model.text_encoder(**inputs).last_hidden_state
        features: torch.Tensor = model.text_proj(hidden[:, 0])
        return features
    features = getattr(model, recipe.call)(**inputs)
    return features if isinstance(features, torch.Tensor) else features.pooler_output
