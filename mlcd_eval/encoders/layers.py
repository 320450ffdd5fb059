"""Names of layers inside a tower's blocks. Light: nothing here needs a model.

`block_7/cls`: the class token after the seventh block, as the block leaves it; `block_7/mean`: the mean of its patches;
`block_7/cls+mean`: both, concatenated. Blocks are counted from 1, as in transformers' hidden_states, whose first entry
is the input of the first block (timm's and open_clip's indices are one less).

`last_4/cls`: the class tokens of the last four blocks, each after the tower's last norm, concatenated; `last_4/mean`:
the same of the means of patches; `last_4/cls+mean`: the class tokens of all four and the mean of the last block's
patches, as in DINOv2's linear evaluation (dinov2/eval/linear.py, create_linear_input). `last_1/cls+mean` is [cls, mean]
of the tower's output.

`blocks`: every block at every pooling, (depth, poolings, width) for each image.

`value_patches`: the grid of patches in the joint space by the last block without its attention (value_patches.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BLOCKS = "blocks"
VALUE_PATCHES = "value_patches"
CLS, MEAN = "cls", "mean"
_NAME = re.compile(r"(block|last)_([1-9]\d{0,3})/(cls|mean|cls\+mean)")


@dataclass(frozen=True)
class BlockInfo:
    """What a tower's blocks give. poolings: `cls` and `mean`, or `mean` alone without a class token. values: dimension
    of `value_patches`, 0 without."""

    depth: int = 0
    width: int = 0
    poolings: tuple[str, ...] = ()
    values: int = 0

    def width_of(self, layer: str) -> int | None:
        """Return the last dimension of a layer inside the tower, None if it has no such layer."""
        if layer == BLOCKS:
            return self.width if self.depth else None
        if layer == VALUE_PATCHES:
            return self.values or None
        named = parsed(layer)
        if named is None or named.number > self.depth or not set(named.poolings) <= set(self.poolings):
            return None
        return self.width * len(named.parts(self.depth))

    def numbers_of(self, layer: str) -> int:
        """Return how many numbers an image has at a layer inside the tower that it has, 0 for a grid."""
        if layer == VALUE_PATCHES:
            return 0
        return self.depth * len(self.poolings) * self.width if layer == BLOCKS else self.width_of(layer) or 0

    def in_words(self) -> str:
        """Return the layers inside the tower as a list of names, empty if it has no blocks."""
        if not self.depth:
            return ""
        ways = [*self.poolings, "cls+mean"] if CLS in self.poolings else list(self.poolings)
        values = f"{VALUE_PATCHES}, " if self.values else ""
        return (
            f"{values}{BLOCKS}, block_1 to block_{self.depth} and last_1 to last_{self.depth} with /{', /'.join(ways)}"
        )


NO_BLOCKS = BlockInfo()
"""Of a tower without blocks, or whose blocks are not read."""


@dataclass(frozen=True)
class BlockLayer:
    """The parts of a name. last: whether it starts with `last`; number: of the block, or how many blocks."""

    last: bool
    number: int
    poolings: tuple[str, ...]

    def parts(self, depth: int) -> list[tuple[int, bool, str]]:
        """Return (block from 1, whether the last norm follows, pooling) of what is concatenated, in order."""
        if not self.last:
            return [(self.number, False, pooling) for pooling in self.poolings]
        numbers = range(depth - self.number + 1, depth + 1)
        first, *more = self.poolings
        return [*((number, True, first) for number in numbers), *((depth, True, pooling) for pooling in more)]


def parsed(layer: str) -> BlockLayer | None:
    """Return the parts of the name of a block's layer, None for any other name."""
    match = _NAME.fullmatch(layer)
    return match and BlockLayer(match[1] == "last", int(match[2]), tuple(match[3].split("+")))


def is_inside(layer: str) -> bool:
    """Return whether a name is of a layer inside a tower, which the store keeps in fp16."""
    return layer in (BLOCKS, VALUE_PATCHES) or parsed(layer) is not None
