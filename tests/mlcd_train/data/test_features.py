"""Batches of stored features share among ranks and resume as those of pixels do."""

from collections import Counter
from itertools import islice

import numpy as np
import torch

from mlcd_train.data.batches import Share
from mlcd_train.data.features import feature_batches


def test_cached_features_share_and_go_on_likewise():
    features = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)
    keys, texts = [f"k{n}" for n in range(11)], [(f"a{n}", f"b{n}") for n in range(11)]
    whole = list(islice(feature_batches(keys, features, texts, Share(4), 0), 8))
    assert Counter(key for batch in whole for key in batch.keys[:3]) <= Counter(dict.fromkeys(keys, 3))
    assert sorted([key for batch in whole for key in batch.keys][:11]) == sorted(keys)
    parts = [list(islice(feature_batches(keys, features, texts, Share(4, r, 2), 0), 8)) for r in (0, 1)]
    for number, batch in enumerate(whole):
        assert torch.equal(batch.images, torch.cat([part[number].images for part in parts]))
        assert all(text[1:] == key[1:] for key, text in zip(batch.keys, batch.texts, strict=True))
    [last] = islice(feature_batches(keys, features, texts, Share(4), 0, whole[6].after), 1)
    assert list(last.texts) == list(whole[7].texts) and torch.equal(last.images, whole[7].images)


def test_the_order_of_a_seed_stays_what_it_was():
    keys, texts = [f"k{number}" for number in range(5)], [(f"a{number}", f"b{number}") for number in range(5)]
    batches = islice(feature_batches(keys, np.zeros((5, 1), np.float32), texts, Share(4), 3), 3)
    assert [" ".join(batch.texts) for batch in batches] == ["a3 a4 b0 b2", "b1 b2 b0 b4", "a3 a1 b0 b4"]
