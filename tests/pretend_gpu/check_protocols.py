"""Every protocol on the pretend device, with sums in a fixed order, gives the numbers of tests/protocols/golden."""

import dataclasses
import json

import pytest
from golden_cases import CASES
from protocols.test_versions import GOLDEN, same

from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.support.determinism import deterministic
from pretend_gpu.device import PretendCuda

LONG = [
    ("refcoco", "probe"),
    ("attentive_probe", "probe"),
    ("region_classification", "search"),
    ("seg_linear", "search"),
    ("depth_linear", "probe_bins"),
    *(("linear_probe", case) for case in ("search", "holdout", "few_shot", "two_classes", "multilabel")),
]
"""Many small steps; check_scoring.py has a short probe, and OneVision-Encoder's head is attentive too."""

ON_THE_HOST = {"clustering"}
"""Those whose features scikit-learn reads."""


def cases():
    """Each protocol with each of its cases."""
    for name, of_protocol in CASES.items():
        for case in of_protocol:
            marks = [pytest.mark.slow] if (name, case) in LONG else []
            if (name, case) == ("docvqa", "reading"):
                marks.append(
                    pytest.mark.skip("its reader's batch norm is cuDNN's own, which the pretended device lacks")
                )
            yield pytest.param(name, case, id=f"{name}-{case}", marks=marks)


@pytest.mark.parametrize(("name", "case"), list(cases()))
def test_numbers_are_the_golden_ones(name, case):
    settings, make_inputs = CASES[name][case]
    protocol, inputs = get_protocol(name), dataclasses.replace(make_inputs(), device="cuda")
    with PretendCuda()() as ledger, deterministic(True):
        scores = protocol.score(protocol.Settings.model_validate(settings), inputs)
    measured = {metric.name: [metric.value, *(metric.ci95 or (None, None))] for metric in scores.metrics}
    assert same(case, measured, json.loads((GOLDEN / f"{name}.json").read_text())["numbers"][case])
    uses_device = "native" not in settings.get("mode", "") and name not in ON_THE_HOST
    assert (ledger.total("uploaded") > 0) == uses_device
    assert not ledger.total("repeated", "resident", "unit.py")
