"""The interface that every model has for the rest of the harness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from mlcd_eval.encoders.layers import NO_BLOCKS, BlockInfo
from mlcd_eval.encoders.sizes import Sizes
from mlcd_eval.errors import IncompatibleError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL import Image

NO_TEXT = "has no text tower"
Preprocess: TypeAlias = "Callable[[Image.Image], torch.Tensor]"

PENULTIMATE = "penultimate"  # pooled, before the projection to the joint space: the linear probe's layer
PROJECTED = "projected"  # in the joint image-text space: zero-shot and retrieval
PATCHES = "patches"  # (h, w, D) grid of patch tokens: segmentation
PROJECTED_PATCHES = "projected_patches"  # the same by the pooled feature's projection: segmentation by similarity
POOLED = (PENULTIMATE, PROJECTED)  # small, and read by different tasks: whoever encodes for one keeps the other too


@dataclass(frozen=True)
class EncoderInfo:
    """Identity of an encoder, as records store it.

    spec: what the user wrote; name: short, safe as a folder name.
    fingerprint: hex digest over all that features depend on, since they are kept under it. An adapter gives what
    neither tensors nor modules show (config, tokenizer; a constant will do); `load_encoder` adds the weights and the
    rest (identity.py).
    preprocessing: the transform in words, another part of every feature's identity.
    layers: layer name -> feature dimension, of those at the output; blocks: those inside the tower (layers.py).
    image_size: (height, width) that the model takes.
    no_text: why texts cannot be encoded where has_text is False; it completes a sentence about the model.
    context_length: tokens of a text at most, beyond which it is cut; None where that is not known.
    sizes: the other sizes of images that it takes by `Encoder.resized`, None where it takes its own only.
    abilities: what the model can do beyond features: `segment`, `answer`.
    """

    spec: str
    name: str
    fingerprint: str
    preprocessing: str
    layers: Mapping[str, int]
    image_size: tuple[int, int]
    num_params: int
    has_text: bool
    abilities: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)  # provenance: config, seeds, versions, git commit
    no_text: str = NO_TEXT
    context_length: int | None = None
    blocks: BlockInfo = NO_BLOCKS
    sizes: Sizes | None = None

    def width_of(self, layer: str) -> int | None:
        """Return the last dimension of a layer's features, None if the model has no such layer."""
        return self.layers[layer] if layer in self.layers else self.blocks.width_of(layer)

    def numbers_of(self, layer: str) -> int | None:
        """Return how many numbers an image has at a layer, None if the model has no such layer, or it is a grid."""
        if layer in POOLED:
            return self.layers.get(layer)
        return self.blocks.numbers_of(layer) or None

    def layers_in_words(self) -> str:
        """Return the names of all layers, for messages."""
        return "; ".join(part for part in (", ".join(self.layers), self.blocks.in_words()) if part)


class Encoder:
    """A frozen model in eval mode. Subclasses set `info` and `preprocess` and implement the encode methods.

    preprocess: RGB PIL image -> float32 (3, H, W); picklable, since worker processes run it.
    jpeg: decodes JPEG files for it; None: Pillow does.
    alter: changes each decoded image, given its key, before `preprocess`; None: images stay as they are.
    reentrant: whether several threads may call encode_images at once, because it keeps nothing in the object (hooks
    do).
    costed: whether what an image costs can be counted by one call more, because PyTorch runs the model.
    Features are not normalised; protocols do that where their definition says so.
    """

    info: EncoderInfo
    preprocess: Preprocess
    jpeg: Callable[[bytes], Image.Image] | None = None
    alter: Callable[[Image.Image, str], Image.Image] | None = None
    reentrant: bool = False
    costed: bool = False

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """One forward pass: pixels (B, 3, H, W) -> {layer: (B, D)}, `patches` as (B, h, w, D)."""
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Texts -> (B, D) in the joint space, not normalised, by the model's own tokenizer.

        Raises IncompatibleError without a text tower.
        """
        raise IncompatibleError(f"model {self.info.spec!r} {self.info.no_text}: got texts to encode, expected images")

    def resized(self, size: tuple[int, int]) -> Encoder:
        """The same weights for images of another height and width, of `info.sizes`; this encoder stays as it is. For an
        oblong size, the other's preprocess gives squares of the longer side, whose upper left part it takes.

        The other's info differs in image_size, preprocessing and fingerprint. Raises IncompatibleError where the model
        takes images of its own size only.
        """
        raise IncompatibleError(
            f"model {self.info.spec!r} takes images of {self.info.image_size[0]} x {self.info.image_size[1]} pixels "
            f"only: got {size[0]} x {size[1]}"
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """How many tokens each text has before it is cut, with those that the tokenizer adds; None if not known."""
        return None

    def segment(self, image: Image.Image, expression: str) -> NDArray[Any]:
        """The mask that an expression asks for: (h, w), bool or logits whose sign decides; it is scaled to the image.

        Raises IncompatibleError without the ability `segment`.
        """
        raise IncompatibleError(f"model {self.info.spec!r} does not segment images")

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int = 32) -> list[str]:
        """One answer per question, each about the image at its position, decoded greedily, of at most max_new_tokens.

        Raises IncompatibleError without the ability `answer`.
        """
        raise IncompatibleError(f"model {self.info.spec!r} answers no questions")

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Move the weights; channels_last on CUDA. The caller owns autocast. Returns self."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the weights are, and therefore where pixels must be."""
        raise NotImplementedError
