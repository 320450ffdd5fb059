"""Where pixels lie among patches, against the pixels that a letterbox shows."""

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.features.letterbox import Letterbox
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.pixels import cells_of, image_weights


@pytest.mark.parametrize("frame", [(32, 32), (32, 96), (64, 24), (16, 40)])
@pytest.mark.parametrize("size", [(50, 50), (30, 90), (37, 100), (90, 31), (7, 400)])
def test_each_pixel_is_in_the_cell_that_shows_it(size, frame):
    """The letterbox's square, whose upper left part is the frame: a pixel is where it was pasted."""
    rows, columns = np.divmod(np.arange(size[0] * size[1]).reshape(size), size[1])
    picture = np.stack([rows % 256, columns % 256, 100 * (rows // 256) + columns // 256], axis=2).astype(np.uint8)
    square = np.asarray(Letterbox(lambda image: image, frame=frame)(Image.fromarray(picture)))
    assert np.array_equal(square[: size[0], : size[1]], picture)
    grid, side, longer = (frame[0] // 8, frame[1] // 8), len(square), max(frame)
    shown = [min(side, -(-side * each // longer)) for each in frame]  # of the square, at least what the frame shows
    assert shown[0] >= size[0] and shown[1] >= size[1] and (shown[0] - 1 <= size[0] or shown[1] - 1 <= size[1])
    layout = Layout(grid, frame)
    down, along = cells_of(size, layout)
    expected = [np.floor((np.arange(pixels) + 0.5) * longer / side / 8) for pixels in size]  # patches of 8 pixels
    assert np.array_equal(down, expected[0]) and np.array_equal(along, expected[1])
    assert down.max() < grid[0] and along.max() < grid[1]
    for weights, pixels, cells in zip(image_weights(size, layout), size, grid, strict=True):
        middles = np.clip((np.arange(pixels) + 0.5) * longer / side / 8 - 0.5, 0, cells - 1)
        assert weights @ np.arange(cells) == pytest.approx(middles, abs=1e-5) and np.allclose(weights.sum(axis=1), 1)
    assert layout.area(size) == pytest.approx((8 * side / longer) ** 2)


def test_a_grid_of_a_square_may_have_oblong_cells():
    assert Layout((4, 2)).spans((30, 44)) == (44, 44) and Layout((4, 2)).area((30, 44)) == 44**2 / 8
    assert Layout((4, 2), (2, 1)).spans((30, 44)) == (88, 44) and Layout((4, 2), (2, 1)).finer(3).grid == (12, 6)
