"""NaFlex ViTs of timm: an image keeps its aspect and becomes as many patches as the model takes."""

from __future__ import annotations

from typing import Any

import timm.data
import torch
from PIL import Image


class NaflexTransform:
    """RGB image -> (1, 1 + N, D) float32: the grid's height and width in the first row, then N rows of which the first
    height * width are patches by rows, the rest zero. D: numbers of a patch. Picklable.

    One shape for every aspect, since images are stacked to batches.
    """

    def __init__(self, patch_size: tuple[int, int], max_patches: int, data_config: dict[str, Any]) -> None:
        self.max_patches = max_patches
        self.transform = timm.data.create_transform(
            **data_config,
            is_training=False,
            naflex=True,
            patch_size=patch_size,
            max_seq_len=max_patches,
            patchify=True,
        )

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Scale, normalise and cut into patches by timm."""
        parts = self.transform(image)
        patches, coordinates = parts["patches"], parts["patch_coord"]
        packed = torch.zeros(1, 1 + self.max_patches, patches.shape[1])
        packed[0, 0, :2] = coordinates.max(0).values + 1
        packed[0, 1 : 1 + len(patches)] = patches
        return packed

    def __str__(self) -> str:
        return " ".join(str(self.transform).split())


def unpacked(packed: torch.Tensor) -> dict[str, torch.Tensor]:
    """A batch of packed images (B, 1, 1 + N, D) as the arguments of a NaFlex model's `forward_features`."""
    grid = packed[:, 0, 0, :2].round().long()
    patches = packed[:, 0, 1:]
    position = torch.arange(patches.shape[1], device=packed.device).expand(len(packed), -1)
    width = grid[:, 1:]
    valid = position < grid[:, :1] * width
    coordinates = torch.stack([position // width, position % width], dim=2) * valid[..., None]
    return {"patches": patches, "patch_coord": coordinates, "patch_valid": valid}
