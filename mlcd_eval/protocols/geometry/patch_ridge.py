"""Ridge regression from patches to values of pixels, exact for what is interpolated between patches.

A linear map of patches that is interpolated to pixels is the map of interpolated patches. The sum of its squared errors
over pixels is therefore a quadratic function, whose sums are made image by image from the parts of patches, so that
memory does not grow with the images and every known pixel counts. Lambda is added to the diagonal of the features'
correlations, and chosen by the squared error of held-out images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.classification.sweep import search_lambda
from mlcd_eval.protocols.geometry.images import MeasuredImages, Target, interpolation, parts_of
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.held_out import held_out_rows
from mlcd_eval.protocols.shared.ridge import RidgeSums
from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows


@dataclass(frozen=True)
class LinearMap:
    """weights (D, T) and bias (T,), float64."""

    weights: Tensor
    bias: Tensor

    def __call__(self, patches: Tensor) -> Tensor:
        """Return what is said (h, w, T) of patches (h, w, D)."""
        return patches.double() @ self.weights + self.bias


def fit_ridge(
    images: Mapping[str, MeasuredImages],
    target: Target,
    lambda_: float | None,
    val_fraction: float,
    chance: np.random.Generator,
    device: str,
    advance: Advance,
) -> tuple[LinearMap, dict[str, Any]]:
    """Return the map that is fitted to train, and to val if it is among the images, and for the record how.

    lambda_: None to search it, by val, or without it by a share val_fraction of train's units. Raises IncompatibleError
    where train has one unit to search on, or no pixel is to be learned.
    """
    train = images["train"]
    parts = [train, *([images["val"]] if "val" in images else [])]
    held: NDArray[np.bool_] = np.zeros(len(train.annotations), bool)
    if lambda_ is None and "val" not in images:
        held = held_out_rows([each.unit for each in train.annotations], val_fraction, chance)
    patches = [Rows(part.array, device) for part in parts]
    fitted, checked = sums_of(parts[0], patches[0], target, ~held, advance), None
    if lambda_ is None:
        rows = held if "val" not in images else np.ones(len(images["val"].annotations), bool)
        checked = sums_of(parts[-1], patches[-1], target, rows, advance)
    details: dict[str, Any] = {}
    for sums, what in ((fitted, "train"), (checked, "held-out")):
        if sums is not None and not sums.count:
            raise IncompatibleError(f"nothing can be learned: got no pixel of known value in {what} images")
    if checked is None:
        assert lambda_ is not None, "without held-out images it is given"
        chosen, details["lambda_from"] = lambda_, "settings"
    else:
        chosen, scores = search_lambda(lambda tried: -checked.error(*fitted.solved(tried)))
        details["lambda_from"] = f"search by squared error of {int(rows.sum())} images"
        details["search"] = [{"lambda": tried, "explained": 1 + score} for tried, score in scores.items()]
        fitted = fitted + checked
    return LinearMap(*fitted.solved(chosen)), details | {
        "lambda": chosen,
        "num_train_images": sum(len(each.annotations) for each in parts),
    }


def sums_of(
    images: MeasuredImages, patches: Rows, target: Target, rows: NDArray[np.bool_], advance: Advance
) -> RidgeSums:
    """The sums of the images of a boolean index, over all pixels that have a target."""
    sums: RidgeSums | None = None
    for row in np.flatnonzero(rows):
        targets = target(images.annotations[row].values())
        here = patches[row : row + 1][0].double().flatten(0, 1)
        sums = sums or RidgeSums(here.shape[1], targets.shape[2], here.device)
        _add(sums, here, targets, images.layout)
        advance(1)
    assert sums is not None, "there are images"
    return sums


def _whole(diagonals: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Diagonals (offsets, cells), of which scipy leaves out the last columns where they are empty."""
    return np.pad(diagonals, ((0, 0), (0, cells - diagonals.shape[1])))


def _add(sums: RidgeSums, patches: Tensor, targets: NDArray[np.float64], layout: Layout) -> None:
    """Add an image of patches (cells, D)."""
    from scipy import sparse

    parts, between = parts_of(targets, layout), interpolation(layout.grid)
    mixed = (between.T @ sparse.diags(parts.known) @ between).todia()  # (cells, cells), of neighbours only
    diagonals, alone, learned, total = (
        torch.from_numpy(np.asarray(each)).to(patches.device)
        for each in (
            _whole(mixed.data, len(patches)),
            between.T @ parts.known,
            between.T @ parts.sums,
            parts.sums.sum(axis=0),
        )
    )
    both = torch.zeros_like(patches)
    for offset, weights in zip(mixed.offsets.tolist(), diagonals, strict=True):
        both += (weights[:, None] * patches).roll(-offset, 0)  # the weight of what would come round is 0
    sums.count += float(parts.known.sum())
    sums.x += patches.T @ alone
    sums.y += total
    sums.xx += patches.T @ both
    sums.xy += patches.T @ learned
    sums.yy += parts.squares
