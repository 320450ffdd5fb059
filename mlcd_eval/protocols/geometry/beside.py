"""Patches with one vector of their image beside each, such as its class token, without a copy of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.classification.layer_roles import at_role, split_roles


@dataclass(frozen=True)
class WithVectors:
    """Reads as the array (N, h, w, D + E) of patches (N, h, w, D) and vectors (N, E), of which either may be
    memory-mapped."""

    patches: NDArray[Any]
    vectors: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, h, w, D + E)."""
        return (*self.patches.shape[:3], self.patches.shape[3] + self.vectors.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the rows."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """The rows of a slice or an index (K,)."""
        patches = np.asarray(self.patches[index], np.float32)
        vectors = np.asarray(self.vectors[index], np.float32)[:, None, None]
        return np.concatenate([patches, np.broadcast_to(vectors, (*patches.shape[:3], vectors.shape[-1]))], axis=3)


def with_vectors(images: Mapping[str, Features], layer: str) -> dict[str, Features]:
    """The splits' own roles, their patches with the vectors that the splits have at a layer."""
    pairs = {role: (images[role], at_role(images, role, layer).array) for role in split_roles(images)}
    return {role: replace(of, array=_array(of.array, vectors)) for role, (of, vectors) in pairs.items()}


def _array(patches: NDArray[Any], vectors: NDArray[Any]) -> Any:
    return WithVectors(patches, vectors)
