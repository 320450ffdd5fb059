"""What a record may hold of a URL."""

import pytest

from mlcd_eval.support.addresses import has_redacted, redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wds:https://me:pass@host.org/data", "wds:https://REDACTED@host.org/data"),
        ("wds:https://token@host/a", "wds:https://REDACTED@host/a"),
        ("wds:https://host/a@b", "wds:https://host/a@b"),
        ("wds:https://host/a?X-Amz-Signature=1&e=2", "wds:https://host/a?X-Amz-Signature=REDACTED&e=REDACTED"),
        ("csv:https://host/a.csv?image=path&sv=1", "csv:https://host/a.csv?image=path&sv=REDACTED"),
        ("hf:org/name?revision=v1&split_test=val", "hf:org/name?revision=v1&split_test=val"),
        ("python:a.py:make?api_key=sk-1&width=8", "python:a.py:make?api_key=REDACTED&width=8"),
        ("open_clip:ViT-B-32?init=random&seed=1", "open_clip:ViT-B-32?init=random&seed=1"),
        ("runs/what?/a=b", "runs/what?/a=b"),
        ("onnx:a.onnx?tokenizer=b&key=teacher", "onnx:a.onnx?tokenizer=b&key=teacher"),
    ],
)
def test_users_and_query_values_of_urls_are_replaced(text, expected):
    assert redacted(text, {"image", "revision"}) == expected
    assert has_redacted({"a": [expected]}) == (text != expected)


def test_lists_and_mappings_are_searched():
    value = {"models": ("a", "x=hf://u:p@h/m"), "limit": 3, "settings": {"url": "s3://k:s@b"}}
    assert redacted(value) == {
        "models": ["a", "x=hf://REDACTED@h/m"],
        "limit": 3,
        "settings": {"url": "s3://REDACTED@b"},
    }
