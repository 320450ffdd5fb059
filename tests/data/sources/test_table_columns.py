"""The meaning of single cells."""

from pathlib import Path

import pytest

from mlcd_eval.data.sources.table_columns import Cells, Where, choose_columns
from mlcd_eval.errors import DataError


@pytest.mark.parametrize("image", [{}, {"bytes": None}, {"file": "a.png"}, {"path": None}, {"path": " "}, 3])
def test_an_image_of_neither_contents_nor_path_is_a_sentence(image):
    columns = choose_columns("parquet:x", ["image", "label"], {"image": "image", "label": "label"})
    with pytest.raises(DataError, match=r"has no image: got .* in column 'image', expected a path"):
        Cells(columns, Path()).key({"image": image, "label": 0}, Where(1, Path("x.parquet")))
