"""The lattice of dialects: its factors, values that mean the same, and settings that travel together."""

import pytest
from own_data import MODEL, items, write_wds

from mlcd_eval import evaluate
from mlcd_eval.records import ResultStore
from mlcd_eval.running.explaining.factors import OTHERS, TASKS_OWN
from mlcd_eval.running.explaining.lattice import open_lattice
from mlcd_eval.tables.explaining.stated import MOST, every_point


def lattice_of(tmp_path, protocol, **settings):
    data = write_wds(tmp_path / "mine", {"train": items(40), "test": items(20)})
    folders = {"output": tmp_path / "out", "cache": tmp_path / "cache"}
    (own,) = evaluate(MODEL, protocol, datasets=f"wds:{data}", workers=0, settings=settings, **folders)
    return own, open_lattice(own, ResultStore(tmp_path / "out").path(own), folders, {}, allow_code=True)


def test_values_that_mean_the_same_count_once_and_what_does_not_fit_is_left_out(tmp_path):
    own, lattice = lattice_of(tmp_path, "zeroshot")
    values = lattice.factors.values
    assert values["metric"] == ("acc1", "mean_per_class_recall")
    assert values["class_names"] == ("folder",)  # x and y, which no other list changes
    assert values["templates"][0] == "folder" and "first" not in values["templates"]  # the folder has one
    assert lattice.factors.names(lattice.factors.own)[0] == TASKS_OWN
    _, wide = lattice_of(tmp_path / "layers", "knn", layer="projected")
    assert wide.factors.values["layer"] == ("projected", "penultimate")
    (point,) = lattice.results([lattice.factors.own]).values()
    assert point.metrics == own.metrics


def test_a_point_is_the_record_that_a_run_in_its_dialect_makes(tmp_path):
    _, lattice = lattice_of(tmp_path, "linear_probe", shots=4, trials=2)
    factors = lattice.factors
    assert factors.values[OTHERS][0] == "the record's" and "mteb" in factors.values[OTHERS]
    assert factors.sets["mteb"] >= {"layer", "exif", "shots", "draw", "c", OTHERS}
    folders = {"output": tmp_path / "theirs", "cache": tmp_path / "cache"}
    data = f"wds:{tmp_path / 'mine'}"
    (theirs,) = evaluate(MODEL, "linear_probe", datasets=data, workers=0, settings={"dialect": "mteb"}, **folders)
    point = factors.named["mteb"]
    assert lattice.results([point])[point].metrics == theirs.metrics
    assert factors.settings(point)[OTHERS] == "mteb"


def test_large_lattices_are_tried_around_the_named_dialects(tmp_path):
    _, lattice = lattice_of(tmp_path, "linear_probe", shots=4)
    factors = lattice.factors
    points = every_point(factors)
    assert factors.size > MOST > len(points) == len(set(points))
    assert {factors.own, *factors.named.values()} <= set(points)
    centres = {factors.own, *factors.named.values()}
    assert max(min(sum(map(int.__ne__, point, centre)) for centre in centres) for point in points) == 1


def test_a_dialect_that_cannot_be_measured_is_left_out_with_the_reason(tmp_path):
    _, lattice = lattice_of(tmp_path, "linear_probe", shots=4)
    factors = lattice.factors
    both = tuple(
        values.index("clip-benchmark") if name == OTHERS else values.index(1.0) if name == "c" else 0
        for name, values in factors.values.items()
    )  # AdamW and a penalty
    assert lattice.results([both]) == {}
    assert "at most one of lambda_, c, adamw and sgd" in lattice.left_out[both]


def test_samples_are_those_of_the_record(tmp_path):
    own, lattice = lattice_of(tmp_path, "zeroshot")
    lattice.results([lattice.factors.own])
    samples = lattice.samples(lattice.factors.own)
    assert sum(samples["correct"]) / len(samples["key"]) == pytest.approx(own.primary.value)
