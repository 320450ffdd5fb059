"""Numbers of tokens: kept by text, None where a model does not tell."""

from types import SimpleNamespace

import pytest

from mlcd_eval.features.tokens import token_counts


class Counting:
    def __init__(self, context_length, counts):
        self.info = SimpleNamespace(context_length=context_length, fingerprint="f")
        self.counts, self.asked = counts, []

    def count_tokens(self, texts):
        self.asked.append(list(texts))
        return self.counts and [self.counts[text] for text in texts]


def test_each_text_is_counted_once_and_kept(tmp_path):
    encoder = Counting(8, {"a": 3, "b": 5})
    for _ in range(2):
        assert list(token_counts(encoder, tmp_path, ["b", "a", "b"])) == [5, 3, 5]
    assert encoder.asked == [["b", "a"]]


@pytest.mark.parametrize(("length", "asked"), [(None, []), (8, [["a"]])])
def test_a_model_that_does_not_tell(tmp_path, length, asked):
    encoder = Counting(length, None)
    assert token_counts(encoder, tmp_path, ["a"]) is None and encoder.asked == asked
