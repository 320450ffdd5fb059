"""A protocol whose numbers change raises its version.

Each protocol scores small seeded inputs; golden/NAME.json holds the numbers and the version that they are of. After a
change of numbers, raise `version` in the protocol and run `UPDATE_GOLDEN=1 pytest tests/protocols/test_versions.py`,
which writes no numbers under a version that has others.
"""

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch
from golden_cases import CASES, EXACT, TRAINED

from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol

GOLDEN = Path(__file__).parent / "golden"


def numbers(name, device="cpu"):
    """case -> metric -> value and both ends of its interval."""
    protocol = get_protocol(name)
    scored = {}
    for case, (settings, inputs) in CASES[name].items():
        inputs_there = dataclasses.replace(inputs(), device=device)
        scores = protocol.score(protocol.Settings.model_validate(settings), inputs_there)
        scored[case] = {metric.name: [metric.value, *(metric.ci95 or (None, None))] for metric in scores.metrics}
        if reading := scores.details.get("reading"):
            scored[case]["word_accuracy"] = [reading["word_accuracy"], *reading["word_accuracy_ci95"]]
    return scored


def same(case, measured, golden):
    tolerance = TRAINED if case.startswith("probe") else EXACT
    return measured.keys() == golden.keys() and all(
        pytest.approx(golden[metric], abs=tolerance) == row for metric, row in measured.items()
    )


def test_every_protocol_has_golden_numbers():
    assert CASES.keys() == PROTOCOLS.built_in.keys()


@pytest.mark.parametrize("name", CASES)
def test_numbers_change_only_with_the_version(name):
    path, version, measured = GOLDEN / f"{name}.json", get_protocol(name).version, numbers(name)
    golden = json.loads(path.read_text()) if path.exists() else {"version": None}
    changed = golden["version"] == version and [
        case
        for case in {*measured, *golden["numbers"]}
        if not same(case, measured.get(case, {}), golden["numbers"].get(case, {}))
    ]
    assert not changed, (
        f"numbers of {name} changed in {changed}: raise its version from {version}, then UPDATE_GOLDEN=1"
    )
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(json.dumps({"version": version, "numbers": measured}, indent=1) + "\n")
    else:
        assert golden["version"] == version, f"golden numbers of {name} are of version {golden['version']}: update them"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_gives_the_golden_numbers(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text())["numbers"]
    for case, measured in numbers(name, "cuda").items():
        assert same(case, measured, golden[case]), case


def test_a_change_of_a_number_is_noticed():
    golden = {"acc1": [0.5, 0.4, 0.6], "auc": [None, None, None]}
    assert same("any", golden, golden)
    assert not same("any", {**golden, "acc1": [0.5, 0.4, 0.61]}, golden)
    assert not same("any", {"acc1": [0.5, 0.4, 0.6]}, golden)
    assert not same("any", {**golden, "auc": [0.5, 0.4, 0.6]}, golden)


# the same inputs show that what takes long says how far it is, and ends at its total

STAGES = {
    ("attentive_probe", "probe"): {"steps of the probe": 300},
    ("knn", "default"): {"nearest neighbours": 60},
    ("linear_probe", "search"): {"fits of the probe": 16},  # 15 candidates and the last fit
    ("linear_probe", "few_shot"): {"fits of the probe": 3 * 16},
    ("instance_retrieval", "expansion"): {"query expansion": 20, "ranks": 60},
    ("retrieval", "default"): {"ranks": 40},
    ("retrieval", "mteb"): {"ranks": 40, "ranks of captions": 79},
    ("docvqa", "reading"): {"reading rendered pages": 3, "reading pages": 1},
    ("correspondence", "pixels"): {"matches": 12},
    ("tracking", "default"): {"frames": 12},
    ("depth_linear", "search"): {"sums of patches": 40, "depth of pixels": 12},
    ("depth_linear", "probe_bins"): {"steps of the head": 120, "sums of patches": 40, "depth of pixels": 12},
    ("normals_linear", "search"): {"sums of patches": 40, "normals of pixels": 12},
    ("region_classification", "parts"): {"pooling patches": 104, "fits of the classifier": 1},
    ("region_retrieval", "class"): {"pooling patches": 24},
    ("seg_knn", "default"): {"classes of pixels": 12},
    ("seg_linear", "search"): {"fits of the classifier": 16, "classes of pixels": 12},
    ("seg_zeroshot", "default"): {"classes of pixels": 12},
    ("refcoco", "zeroshot"): {"choosing the threshold": 120, "masks": 36},
    ("refcoco", "probe"): {"training the probe": 2, "masks": 36},
}


@pytest.mark.parametrize(("name", "case"), STAGES)
def test_stages_reach_their_totals(name, case):
    totals, done = {}, {}

    @contextlib.contextmanager
    def stage(what, total, unit):
        assert unit
        totals[what], done[what] = total, 0

        def advance(count):
            done[what] += count

        yield advance

    settings, inputs = CASES[name][case]
    protocol = get_protocol(name)
    changed = settings | ({"steps": 2} if "steps" in settings else {})
    protocol.score(protocol.Settings.model_validate(changed), dataclasses.replace(inputs(), stage=stage))
    assert done == totals == STAGES[name, case]
