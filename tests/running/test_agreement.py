"""Ranks that see different things: which of them differs is said, on every rank."""

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.running import agreement


@pytest.fixture
def ranks(monkeypatch):
    """ranks(FACTS ...): the other ranks, which hold these facts."""

    def of(*others):
        monkeypatch.setattr(agreement, "gather_objects", lambda value: [value, *others])

    return of


def test_equal_facts_pass(ranks):
    ranks({"model m": "a", "data": "b"}, {"data": "b", "model m": "a"})
    agreement.compare({"model m": "a", "data": "b"})


def test_what_differs_is_named_with_both_values(ranks):
    ranks({"model m": "a", "data": "b"}, {"model m": "c", "data": "b"})
    with pytest.raises(ConfigError) as caught:
        agreement.compare({"model m": "a", "data": "b"})
    assert str(caught.value) == (
        "model m differs between ranks: rank 0 has a, rank 2 has c, expected the same on every machine"
    )


def test_a_job_that_only_one_rank_has_is_a_difference(ranks):
    ranks({"model m": "a", "settings of knn/x": "{}"})
    with pytest.raises(ConfigError, match=r"settings of knn/x differs between ranks: rank 0 has none, rank 1 has \{\}"):
        agreement.compare({"model m": "a"})


def test_a_cache_of_one_rank_alone_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "LAG", 0.0)
    answers = iter(([None, None], [None, None]))
    monkeypatch.setattr(agreement, "gather_objects", lambda value: next(answers, [value, []]))
    with pytest.raises(ConfigError, match="rank 0 does not see what rank 1 writes there, expected a folder that all"):
        agreement.check_shared(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_process_alone_writes_nothing(tmp_path):
    from mlcd_eval.request import RunRequest

    request = RunRequest(models=("m",), tasks=("t",), cache=tmp_path / "cache")
    agreement.check_ranks_agree(request, [], [])
    assert not (tmp_path / "cache").exists()
