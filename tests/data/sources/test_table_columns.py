"""The meaning of single cells."""

from pathlib import Path

import pytest

from mlcd_eval.data.sources.table_columns import Cells, Where, check_below, choose_columns
from mlcd_eval.errors import DataError


@pytest.mark.parametrize("image", [{}, {"bytes": None}, {"file": "a.png"}, {"path": None}, {"path": " "}, 3])
def test_an_image_of_neither_contents_nor_path_is_a_sentence(image):
    columns = choose_columns("parquet:x", ["image", "label"], {"image": "image", "label": "label"})
    with pytest.raises(DataError, match=r"has no image: got .* in column 'image', expected a path"):
        Cells(columns, Path()).key({"image": image, "label": 0}, Where(1, Path("x.parquet")))


def test_names_are_as_long_as_a_file_systems(tmp_path):
    """Bytes of each name count, not those of the path."""
    for name in ("a" * 255, "é" * 127, "/".join(["a" * 200] * 5)):
        check_below(tmp_path, name, "x.json")
        assert not (tmp_path / name).is_file()  # which raises OSError for a name that is longer
    for name in ("a" * 256, "é" * 128, f"b/{'a' * 256}/c"):
        with pytest.raises(DataError, match=r"^x\.json has the name .*\.\.\., expected names of at most 255 bytes$"):
            check_below(tmp_path, name, "x.json")
