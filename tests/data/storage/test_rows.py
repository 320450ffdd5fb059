"""Image files that cannot be read: named by their sample, before they are opened where that would not end."""

import os
from pathlib import Path

import pytest

from mlcd_eval.data.base import Sample
from mlcd_eval.data.storage.rows import files_identity, image_digest, needed_classes
from mlcd_eval.errors import DataError


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png", "a" * 300 + ".png"])
@pytest.mark.parametrize("read", [image_digest, lambda path, key: files_identity([Sample(key, path)])])
def test_a_path_that_no_file_can_have(tmp_path, name, read):
    with pytest.raises(DataError, match=r"^the image of sample 's' cannot be read from '/"):
        read(tmp_path / name, "s")


@pytest.mark.parametrize("read", [image_digest, lambda path, key: files_identity([Sample(key, path)])])
def test_devices_and_pipes_are_not_opened(tmp_path, read):
    """/dev/zero has no end, and a pipe without a writer waits for ever."""
    os.mkfifo(tmp_path / "pipe.png")
    for path in (Path("/dev/zero"), tmp_path / "pipe.png", tmp_path):
        with pytest.raises(DataError, match="is no regular file, expected one"):
            read(path, "s")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(DataError, match="is missing: there is no file"):
        image_digest(tmp_path / "x.png", "s")


def test_a_label_needs_as_many_classes_as_its_index_has_before_it_and_one():
    labels = [None, 0, 2, (0, 1, 1)]
    assert [needed_classes(Sample("s", b"", label)) for label in labels] == [0, 1, 3, 0]
