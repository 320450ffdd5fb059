"""Masks whose pixels are numbers: the classes that they mean, and what is refused."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.data.annotations import UNLABELLED
from mlcd_eval.data.storage.class_maps import Labelled, class_maps, read_classes
from mlcd_eval.errors import DataError

NUMBERS = np.array([[1, 2], [0, 2], [1, 1]])
CLASSES = {0: UNLABELLED, 1: 0, 2: 1}


def png(array):
    file = io.BytesIO()
    Image.fromarray(np.asarray(array)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def row(tmp_path):
    """A mask of 2 x 3 pixels and its image, in files."""
    (tmp_path / "a.jpg").write_bytes(png(np.zeros((3, 2, 3), np.uint8)))
    (tmp_path / "a.png").write_bytes(png(NUMBERS.astype(np.uint8)))
    return Labelled("a", tmp_path / "a.jpg", tmp_path / "a.png", CLASSES)


def test_rows_of_bytes_are_read_each_time_and_those_of_files_once(row, tmp_path, monkeypatch):
    classes = np.array([[0, 1], [UNLABELLED, 1], [0, 0]], np.int16)
    digest = hashlib.sha256(b"(3, 2) " + classes.tobytes()).hexdigest()
    (known,) = class_maps([row], tmp_path / "cache")
    assert (known.image, known.size, known.digest, known.unit) == ("a", (3, 2), digest, "a")
    assert known.pixels().tolist() == classes.tolist()
    in_memory = row._replace(image=row.image.read_bytes(), mask=row.mask.read_bytes(), unit="video")
    assert class_maps([in_memory], tmp_path / "other")[0].digest == digest
    assert not (tmp_path / "other").exists() and class_maps([in_memory], None)[0].unit == "video"
    monkeypatch.setattr("mlcd_eval.data.storage.class_maps.read_classes", lambda row: pytest.fail("it is known"))
    assert class_maps([row], tmp_path / "cache")[0].digest == digest


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("image", "the image of sample 'a' is missing: there is no file .*a.jpg"),
        ("mask", "the mask of image 'a' .*a.png. is missing"),
    ],
)
def test_a_missing_file_is_named(row, tmp_path, cache, missing, message):
    getattr(row, missing).unlink()
    with pytest.raises(DataError, match=message):
        class_maps([row], tmp_path / "cache" if cache else None)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (np.array([[1, 65_535]], np.uint16), "has the number 65535, which means no class: .* 1 to 2, or 0 for none$"),
        (np.array([[2, 7], [5, 1]], np.uint8), "has the number 5, which means no class"),
    ],
)
def test_numbers_that_mean_nothing(row, numbers, message):
    with pytest.raises(DataError, match=message):
        read_classes(row._replace(mask=png(numbers)))
