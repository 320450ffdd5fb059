"""What a word that is no spec was probably meant to be, by its form alone."""

from __future__ import annotations

import re
from pathlib import Path

from mlcd_eval.encoders.places import folder_or_repository

KINDS_MEANT = {
    **dict.fromkeys(("huggingface", "transformers", "hf-hub", "hf_hub", "hub"), "hf"),
    **dict.fromkeys(("clip", "openai"), "open_clip"),
    **dict.fromkeys(("py", "file", "module"), "python"),
}
"""Kind of other programs -> the kind here."""
_HUB = "https://huggingface.co/"
_WEIGHTS = (".pt", ".pth", ".safetensors", ".bin", ".ckpt")


def likely_specs(text: str, architectures: list[str]) -> list[str]:
    """Return the specs that a word may have been meant to be, the likeliest first.

    architectures: those of open_clip. Examples are `openai/clip-vit-base-patch32` (a repository), `ViT-B-32` or
    `ViT-B/32` (an architecture), `resnet50.a1_in1k` (timm), and a file of weights.
    """
    if Path(text).suffix in _WEIGHTS:
        return [f"open_clip:ARCHITECTURE/{text}", f"timm:NAME?checkpoint={text}"]
    lower = {name.lower(): name for name in architectures}
    name, _, tag = text.partition("/")
    if name.lower() in lower:
        return [f"open_clip:{lower[name.lower()]}/{tag or 'TAG'}"]
    if text.replace("/", "-").lower() in lower:  # as OpenAI writes them
        return [f"open_clip:{lower[text.replace('/', '-').lower()]}/openai"]
    if folder_or_repository(text).repository and re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        return [f"hf:{text}"]
    if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*(\.\w+)?", text):
        return [f"timm:{text}"]
    return [f"hf:{text}"]


def likely_kind(text: str) -> str:
    """Return the hint for a spec whose kind is not known, an empty text where nothing is likely."""
    kind, _, target = text.partition(":")
    if text.startswith(_HUB):
        return f" (did you mean 'hf:{text.removeprefix(_HUB).strip('/')}'?)"
    return f" (did you mean '{KINDS_MEANT[kind]}:{target}'?)" if kind in KINDS_MEANT else ""


def several_specs(text: str, kinds: list[str]) -> list[str]:
    """Return the parts of a word that is several specs with commas between them, an empty list for a single spec."""
    first, *others = text.split(",")
    plain = ":" not in text and "?" not in text
    if others and (plain or any(other.partition(":")[0] in kinds for other in others)):
        return [part.strip() for part in (first, *others)]
    return []
