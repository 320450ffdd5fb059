"""Pickles that hold plain containers are read, whatever names anything is refused (tests of values: test_refer.py)."""

import io
import pickle

import pytest

from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.errors import DataError


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"/refs\.p is missing$"):
        read_pickle(tmp_path / "refs.p")


def test_a_persistent_object_is_refused_by_name(tmp_path):
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return "shelf 7" if isinstance(obj, float) else None

    stream = io.BytesIO()
    Pickler(stream).dump([1, 0.5])
    (tmp_path / "refs.p").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match=r"refs\.p is refused: its pickle asks for a persistent object 'shelf 7', exp"):
        read_pickle(tmp_path / "refs.p")
