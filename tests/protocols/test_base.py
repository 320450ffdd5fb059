"""What a protocol says of itself unless its class says more."""

from types import SimpleNamespace

import pytest

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Needs, Protocol
from mlcd_eval.protocols.registry import get_protocol


def test_the_least_that_a_protocol_says():
    protocol, settings, base = get_protocol("clustering"), SimpleNamespace(), Protocol
    assert base.for_predictions(protocol, settings) is settings
    assert base.primary(protocol, {"metric": "acc1"}, "classification") is None
    assert base.needs(protocol, settings) == Needs()
    assert base.shown_metrics(get_protocol("knn"), ["acc1", "acc5"], "acc5") == ["acc5"]
    assert base.shown_metrics(protocol, ["nmi", "ari"], "nmi") == ["nmi", "ari"]
    with pytest.raises(IncompatibleError, match=r"^clustering has no benchmark server that takes predictions$"):
        base.submission(protocol, {})


@pytest.mark.parametrize(
    ("settings", "kind", "metric"),
    [
        ({}, "classification", "acc1"),
        ({}, "multilabel", None),
        ({"metric": "mean_per_class_recall"}, "classification", "mean_per_class_recall"),
        ({"metric": None}, None, None),
    ],
)
def test_a_linear_probe_ranks_by_its_setting_or_by_accuracy(settings, kind, metric):
    assert get_protocol("linear_probe").primary(settings, kind) == metric
