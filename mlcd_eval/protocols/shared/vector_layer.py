"""A setting: the name of a layer that has one vector for each image."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from mlcd_eval.encoders.base import PATCHES, PROJECTED_PATCHES
from mlcd_eval.encoders.layers import BLOCKS

_SEVERAL = {
    BLOCKS: "the vectors of every block (linear_probe probes them all by layers=all)",
    PATCHES: "a vector of every patch (attentive_probe reads these)",
    PROJECTED_PATCHES: "a vector of every patch (attentive_probe reads these)",
}


def _one_vector(name: str) -> str:
    if name in _SEVERAL:
        raise ValueError(
            "expected a layer of one vector per image, such as penultimate, projected, block_7/cls or last_4/cls+mean, "
            f"not {_SEVERAL[name]}"
        )
    return name


VectorLayer = Annotated[str, AfterValidator(_one_vector)]
