"""Choices one by one, and chances by every order that similarities can have."""

from itertools import permutations

import numpy as np
import pytest
import torch

from mlcd_eval.metrics.compositionality import chance_of_both, chance_of_choice, found


def one_by_one(similarities, ties):
    right = []
    for item in similarities.tolist():
        choices = []
        for query, row in enumerate(item):
            best = [place for place, value in enumerate(row) if value == max(row)]
            choices.append(best == [query] if ties == "wrong" else best[0] == query)
        right.append(all(choices))
    return right


@pytest.mark.parametrize("ties", ["wrong", "first"])
@pytest.mark.parametrize("shape", [(300, 1, 2), (300, 1, 5), (300, 2, 2), (300, 2, 3), (300, 3, 3)])
def test_choices_with_many_ties(shape, ties):
    values = torch.tensor(np.random.default_rng(0).integers(4, size=shape).astype(np.float64))
    outcomes = found(values, ties).tolist()
    assert outcomes == one_by_one(values, ties) and len(set(outcomes)) == 2


@pytest.mark.parametrize(("images", "texts"), [(1, 2), (1, 5), (2, 1), (2, 2), (2, 3), (3, 2), (4, 2)])
def test_chances_are_those_of_all_orders(images, texts):
    orders = torch.tensor(list(permutations(range(images * texts)))).view(-1, images, texts)
    matched = min(images, texts)
    text = found(orders[:, :matched], "wrong")
    image = found(orders.transpose(1, 2)[:, :matched], "wrong")
    assert chance_of_choice(matched, texts) == pytest.approx(text.double().mean().item())
    assert chance_of_choice(matched, images) == pytest.approx(image.double().mean().item())
    assert chance_of_both(matched, abs(images - texts)) == pytest.approx((text & image).double().mean().item())


def test_winogrounds_chances():
    assert (chance_of_choice(2, 2), chance_of_both(2, 0)) == (0.25, pytest.approx(1 / 6))
