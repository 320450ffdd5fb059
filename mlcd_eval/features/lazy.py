"""An encoder that is loaded when it is first called; a run whose features are all stored never does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from mlcd_eval import encoders
from mlcd_eval.encoders.base import Encoder, EncoderInfo, Preprocess
from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.encoders.registry import check_spec, load_encoder, parse
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.features.wrapped import DelegatingEncoder
from mlcd_eval.support.disk_memo import file_identity, memoised, recalled

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "torchvision", "open_clip_torch", "timm", "transformers", "tokenizers", "numpy", "pillow")
"""Distributions that build models or read images."""
MEMO = "encoders"
"""The folder of the cache where infos are remembered."""


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
    """`load_encoder(spec).to(pick_device(), precision)`, put off for a model that is made from local files alone and
    whose info is remembered, because neither a file nor a library has changed.

    say: called when the model is loaded.
    """

    def load() -> Encoder:
        say(f"loading {spec}")
        loaded = load_encoder(spec, trust_remote_code=trust_remote_code, offline=offline)
        placed = loaded.to(pick_device(), precision)
        if not isinstance(placed, Encoder):
            raise ConfigError(f"--model {spec!r}: `to` returned {type(placed).__name__}, expected the encoder")
        return placed

    check_spec(spec)
    identity = _identity(parse(spec, trust_remote_code=trust_remote_code, offline=offline))
    if identity is None:
        return load()
    return LazyEncoder(load, pick_device, lambda make: memoised(cache / MEMO, identity, EncoderInfo, make))


def remembered_info(
    spec: str, cache: Path, *, trust_remote_code: bool = False, offline: bool = False
) -> EncoderInfo | None:
    """Return what an earlier `open_encoder` found out about a model that is made from local files alone, None if it
    has to be loaded for that. The spec must have passed `check_spec`."""
    identity = _identity(parse(spec, trust_remote_code=trust_remote_code, offline=offline))
    return None if identity is None else recalled(cache / MEMO, identity, EncoderInfo)


def _identity(parsed: Spec) -> str | None:
    """Return what a model's info depends on, None if that is more than local files."""
    files = KINDS[parsed.kind].files(parsed)
    if not files:
        return None
    code = sorted(Path(encoders.__file__).parent.rglob("*.py"))
    return "\n".join([repr(parsed), *_versions(), *map(file_identity, [*code, *files])])


def _versions() -> Iterator[str]:
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"


class LazyEncoder(DelegatingEncoder):
    """remember: called with a function that loads the model for its info; returns the info, remembered or new."""

    def __init__(
        self,
        load: Callable[[], Encoder],
        pick_device: Callable[[], torch.device],
        remember: Callable[[Callable[[], EncoderInfo]], EncoderInfo],
    ) -> None:
        self._load = load
        self._pick_device = pick_device
        self.info = remember(lambda: self._encoder.info)

    @cached_property
    def _encoder(self) -> Encoder:  # type: ignore[override]
        loaded = self._load()
        remembered = self.__dict__.get("info", loaded.info)
        if loaded.info != remembered:
            raise CheckpointError(
                f"model {remembered.spec!r} changed while it was in use: expected it to stay the same"
            )
        return loaded

    @cached_property
    def device(self) -> torch.device:
        """Where the weights are, or will be once they are loaded."""
        import torch

        return torch.empty(0, device=self._pick_device()).device  # with its index

    @cached_property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The preprocessing of the loaded model."""
        return self._encoder.preprocess

    def resized(self, size: tuple[int, int]) -> Encoder:
        """Return the loaded model for images of another size."""
        return self._encoder.resized(size)
