"""Where an image lies in the frame that is shown to a model, whose grid of patches divides the frame."""

from __future__ import annotations


def spans(size: tuple[int, ...], grid: tuple[int, ...]) -> tuple[float, float]:
    """How many pixels of an image (height, width) a grid (h, w) of square cells is high and wide.

    The image is at the frame's top left, as large as it fits (`Letterbox`): in a square, both are its longer side.
    """
    most = max(grid)
    longer = max(-(-pixels * most // cells) for pixels, cells in zip(size, grid, strict=True))
    return longer * grid[0] / most, longer * grid[1] / most


def cell_area(size: tuple[int, ...], grid: tuple[int, ...]) -> float:
    """Pixels of an image (height, width) in one cell of a grid (h, w)."""
    high, wide = spans(size, grid)
    return high * wide / (grid[0] * grid[1])
