"""Errors of users are sentences of bounded length."""

import pickle

from mlcd_eval.errors import LONGEST, LONGEST_WORD, DataError


def test_a_long_message_keeps_its_beginning_and_its_end():
    whole = "ab " * (LONGEST // 3) + "ab"
    assert len(whole) == LONGEST and str(DataError(whole)) == whole
    text = str(DataError(f"file.csv has {'x ' * 300_000}, expected y"))
    assert text.startswith("file.csv has x x") and text.endswith("x , expected y")
    assert len(text) <= LONGEST and " ... (592,125 characters) ... " in text


def test_long_words_do_not_hide_what_stands_between_them():
    name = "x" * LONGEST_WORD
    assert str(DataError(f"{name} of {name}")) == f"{name} of {name}"
    text = str(DataError(f"sample '{name * 5}' of /data/photos/{name * 5} is missing"))
    assert "' of /data/photos/xxx" in text and text.endswith("xxx is missing") and len(text) < 2.1 * LONGEST_WORD
    assert text.count(" ... (4,102 characters) ... ") == 1 and text.count(" ... (4,113 characters) ... ") == 1


def test_a_shortened_message_goes_to_another_process_as_it_is():
    error = DataError("z" * 20_000)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
