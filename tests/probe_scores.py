"""A linear probe with lambda searched on a held-out part."""

from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.linear_probe import LinearProbe, LinearProbeSettings


def score(train, test, val=None, seed=0, selection="holdout", **settings):
    """By CLIP's protocol; test_cross_validation.py is about the other selection."""
    images = {"train": train, "test": test} if val is None else {"train": train, "val": val, "test": test}
    settings = LinearProbeSettings(selection=selection, **settings)
    return LinearProbe().score(settings, Inputs(images, seed=seed))
