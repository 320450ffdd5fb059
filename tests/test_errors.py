"""Errors of users are sentences of bounded length."""

import pickle

from mlcd_eval.errors import LONGEST, DataError


def test_a_long_message_keeps_its_beginning_and_its_end():
    whole = "a" * (LONGEST // 2) + "b" * (LONGEST // 2)
    assert str(DataError(whole)) == whole
    text = str(DataError(f"file.csv has {'x' * 600_000}, expected y"))
    assert text.startswith("file.csv has xxx") and text.endswith("xxx, expected y")
    assert len(text) <= LONGEST and " ... (592,125 characters) ... " in text


def test_a_shortened_message_goes_to_another_process_as_it_is():
    error = DataError("z" * 20_000)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
