"""Where the pixels of an image lie among the patches of the frame that a model was shown."""

from __future__ import annotations

from typing import NamedTuple


class Layout(NamedTuple):
    """grid: rows and columns (h, w) of patches that divide the frame. frame: its height and width, whose ratio alone
    counts. An image is at the frame's top left, as large as it fits (`Letterbox`); the rest is padding."""

    grid: tuple[int, int]
    frame: tuple[int, int] = (1, 1)

    def spans(self, size: tuple[int, ...]) -> tuple[float, float]:
        """How many pixels of an image (height, width) the frame is high and wide: in a square its longer side."""
        most = max(self.frame)
        longer = max(-(-pixels * most // side) for pixels, side in zip(size, self.frame, strict=True))
        return longer * self.frame[0] / most, longer * self.frame[1] / most

    def area(self, size: tuple[int, ...]) -> float:
        """Pixels of an image (height, width) in one patch."""
        high, wide = self.spans(size)
        return high * wide / (self.grid[0] * self.grid[1])

    def finer(self, parts: int) -> Layout:
        """Return the layout of patches that are cut into parts x parts."""
        return Layout((parts * self.grid[0], parts * self.grid[1]), self.frame)
