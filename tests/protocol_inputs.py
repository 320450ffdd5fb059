"""What tests of protocols hand over, and how they read scores."""

import numpy as np

from mlcd_eval.protocols.base import Features


def rng(seed=0):
    return np.random.default_rng(seed)


def features(array, labels=None, texts=(), bad=()):
    """Features whose keys are im0, im1, ..."""
    keys = [f"im{row}" for row in range(len(array))]
    return Features(np.asarray(array, np.float32), keys, None if labels is None else np.asarray(labels), texts, bad)


def mixture(seed=0, sizes=(160, 80), d=8, c=5):
    """A labelled split of each size, all from one mixture of c classes."""
    r = rng(seed)
    centres = r.normal(size=(c, d))
    for n in sizes:
        labels = r.integers(c, size=n)
        yield features(centres[labels] + r.normal(size=(n, d)), labels)


def text_encoder(vectors):
    """`Inputs.encode_texts` by a table, text -> vector, or by a function."""
    vector_of = vectors if callable(vectors) else vectors.__getitem__
    return lambda texts: np.array([vector_of(text) for text in texts], dtype=np.float32)


def values(scores):
    """Metric -> value."""
    return {metric.name: metric.value for metric in scores.metrics}
