"""An encoder that is loaded when it is first called: where all features are kept, that is never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mlcd_eval import encoders
from mlcd_eval.encoders.base import Encoder, EncoderInfo, Preprocess
from mlcd_eval.encoders.registry import load_encoder, parse
from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.disk_memo import file_identity, memoised

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

LIBRARIES = {"torch": "torch", "torchvision": "torchvision", "open_clip": "open_clip_torch", "timm": "timm"}
LIBRARIES |= {"transformers": "transformers"}
"""Module -> distribution of what builds models."""


def open_encoder(
    spec: str,
    pick_device: Callable[[], torch.device],
    precision: str,
    cache: Path,
    say: Callable[[str], None] = lambda _: None,
    *,
    trust_remote_code: bool = False,
    offline: bool = False,
) -> Encoder:
    """`load_encoder(spec).to(pick_device(), precision)`, put off where the model's info is known from before: local
    files, unchanged since, of a kind that depends on nothing else. say: is told when the model is loaded."""

    def load() -> Encoder:
        say(f"loading {spec}")
        loaded = load_encoder(spec, trust_remote_code=trust_remote_code, offline=offline)
        placed = loaded.to(pick_device(), precision)
        if not isinstance(placed, Encoder):
            raise ConfigError(f"--model {spec!r}: `to` returned {type(placed).__name__}, expected the encoder")
        return placed

    files = _files(spec)
    if not files:
        return load()
    versions = [f"{name} {version(name)}" for module, name in LIBRARIES.items() if find_spec(module)]
    code = Path(encoders.__file__).parent.rglob("*.py")
    identity = [spec, f"{trust_remote_code} {offline}", *versions, *map(file_identity, [*sorted(code), *files])]
    folder = cache / "encoders"
    return LazyEncoder(load, pick_device, lambda make: memoised(folder, "\n".join(identity), EncoderInfo, make))


def _files(spec: str) -> list[Path]:
    """All that a local model is read from; none for other models, whose info is worked out anew."""
    parsed = parse(spec)
    if parsed.kind not in ("checkpoint", "open_clip", "hf"):
        return []
    folder = Path(parsed.target.removeprefix("local-dir:")).expanduser()
    return sorted(path for path in folder.rglob("*") if path.is_file())


class LazyEncoder(Encoder):
    """remember: from a function that gives the info to the info, as it is known or by calling the function."""

    def __init__(
        self,
        load: Callable[[], Encoder],
        pick_device: Callable[[], torch.device],
        remember: Callable[[Callable[[], EncoderInfo]], EncoderInfo],
    ) -> None:
        self._load = load
        self._pick_device = pick_device
        self.info = remember(lambda: self._loaded.info)

    @cached_property
    def _loaded(self) -> Encoder:
        loaded = self._load()
        known = self.__dict__.get("info", loaded.info)
        if loaded.info != known:
            raise CheckpointError(f"model {known.spec!r} changed while it was in use: expected it to stay the same")
        return loaded

    @cached_property
    def device(self) -> torch.device:
        """Where the weights are or will be."""
        import torch

        return torch.empty(0, device=self._pick_device()).device  # with its number

    @cached_property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The loaded model's."""
        return self._loaded.preprocess

    @cached_property
    def reentrant(self) -> bool:  # type: ignore[override]
        """The loaded model's."""
        return self._loaded.reentrant

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """By the loaded model."""
        return self._loaded.encode_images(pixels, layers)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """By the loaded model."""
        return self._loaded.encode_texts(texts)

    def segment(self, image: Image.Image, expression: str) -> np.ndarray:
        """By the loaded model."""
        return self._loaded.segment(image, expression)

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int = 32) -> list[str]:
        """By the loaded model."""
        return self._loaded.answer(images, questions, max_new_tokens)
