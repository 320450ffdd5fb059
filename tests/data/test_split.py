import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcd_eval.data.split import few_shot, stratified_folds, stratified_split


def rng(seed=0):
    return np.random.default_rng(seed)


def test_by_hand():
    labels = np.array([7] * 10 + [3] * 2 + [5] + [1] * 3)
    train, val = stratified_split(labels, 0.2, rng())
    assert np.bincount(labels[val], minlength=8).tolist() == [0, 1, 0, 1, 0, 0, 0, 2]
    assert sorted([*train, *val]) == list(range(16))


@given(st.lists(st.integers(0, 5), max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_split_laws(labels, fraction, seed):
    labels = np.array(labels, dtype=np.int64)
    train, val = stratified_split(labels, fraction, rng(seed))
    again = stratified_split(labels, fraction, rng(seed))
    assert np.array_equal(train, again[0])
    assert np.array_equal(val, again[1])
    assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(len(labels)))
    for rows in (train, val):
        assert np.array_equal(rows, np.sort(rows))
    for label in np.unique(labels):
        size, held_out = np.sum(labels == label), np.sum(labels[val] == label)
        assert held_out == 0 if size == 1 else 1 <= held_out <= size - 1
        assert abs(held_out - fraction * size) <= 1


def test_multilabel_is_random_over_rows():
    train, val = stratified_split(np.eye(20, dtype=np.int64), 0.25, rng())
    assert (len(train), len(val)) == (15, 5)
    assert not set(train) & set(val)
    _, other = stratified_split(np.eye(20, dtype=np.int64), 0.25, rng(1))
    assert not np.array_equal(val, other)


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(1, 9), st.integers(0, 9))
def test_few_shot_laws(labels, k, seed):
    labels = np.array(labels, dtype=np.int64)
    rows = few_shot(labels, k, rng(seed))
    assert np.array_equal(rows, np.unique(rows))
    assert np.array_equal(rows, few_shot(labels, k, rng(seed)))
    for label in np.unique(labels):
        assert np.sum(labels[rows] == label) == min(k, np.sum(labels == label))


def test_draw_is_uniform():
    """Each of 5 rows of a class is as likely: 2 of 5, over 2,000 draws within four standard deviations."""
    generator = rng()
    counts = np.zeros(5)
    for _ in range(2000):
        counts[few_shot(np.zeros(5, dtype=np.int64), 2, generator)] += 1
    assert counts / 2000 == pytest.approx(0.4, abs=4 * np.sqrt(0.4 * 0.6 / 2000))


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(2, 6), st.integers(0, 9))
def test_folds_hold_out_each_row_of_a_class_of_two_or_more_once(labels, count, seed):
    labels = np.array(labels, dtype=np.int64)
    folds = stratified_folds(labels, count, rng(seed))
    sizes = np.bincount(labels, minlength=6)
    held_out = np.concatenate([*folds, np.empty(0, np.int64)])
    assert sorted(held_out) == np.flatnonzero(sizes[labels] > 1).tolist()
    assert len(folds) == min(count, len(held_out))
    lengths = [len(fold) for fold in folds]
    assert not lengths or max(lengths) - min(lengths) <= 1
    for label in np.flatnonzero(sizes > 1):
        assert sum((labels[fold] == label).any() for fold in folds) == min(sizes[label], count)
    assert all((np.diff(fold) > 0).all() for fold in folds)


def test_folds_of_several_labels_hold_out_each_row_once():
    folds = stratified_folds(np.zeros((11, 3), dtype=np.int64), 5, rng())
    assert sorted(np.concatenate(folds)) == list(range(11)) and [len(fold) for fold in folds] == [3, 2, 2, 2, 2]
