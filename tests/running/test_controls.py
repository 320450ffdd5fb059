"""Controls stand in the record beside a protocol's numbers, and are computed once for all models."""

import dataclasses
import json
import warnings
from types import SimpleNamespace

from conftest import make_result
from tiny_encoder import TinyEncoder

import mlcd_eval
from mlcd_eval.protocols.classification.knn import KNN
from mlcd_eval.running.controls import controls_of


def test_a_record_has_the_controls_of_its_task_and_another_model_uses_them_too(tmp_path, monkeypatch):
    calls, controls = [], KNN.controls

    def counted(self, settings, inputs):
        calls.append(settings)
        return controls(self, settings, inputs)

    monkeypatch.setattr(KNN, "controls", counted)
    options = {"output": tmp_path / "out", "cache": tmp_path / "cache"}
    (first,) = mlcd_eval.evaluate(TinyEncoder(), "knn/demo_clipart", **options)
    assert len(calls) == 1
    held, noise = first.details["controls"]
    assert held["positive"] and held["holds"] and held["value"] >= held["bound"] and held["num_scored"] == 198
    assert not noise["positive"] and noise["holds"] and noise["value"] <= noise["bound"]
    another = TinyEncoder(has_text=False)
    another.info = dataclasses.replace(another.info, fingerprint="u" * 64, name="another")
    (other,) = mlcd_eval.evaluate(another, "knn/demo_clipart", **options)
    assert len(calls) == 1 and other.details["controls"] == first.details["controls"]
    mlcd_eval.evaluate(TinyEncoder(), "knn/demo_clipart", seed=1, **options)
    assert len(calls) == 2  # another draw
    assert json.loads(next((tmp_path / "out").rglob("*.json")).read_text())["details"]["controls"]


def test_warnings_of_the_controls_own_samples_are_not_the_user_s(tmp_path, recwarn):
    def noisy(settings, inputs):
        warnings.warn("2 of 10 classes have fewer train images", stacklevel=2)
        return []

    job = SimpleNamespace(protocol=SimpleNamespace(controls=noisy), settings=None)
    pending = make_result()
    inputs = SimpleNamespace(predictions=None, images={}, seed=0, device="cpu")
    assert controls_of(job, pending, inputs, tmp_path) == {}
    assert [str(warning.message) for warning in recwarn] == []


def test_saved_predictions_have_none():
    class Scored:
        predictions = ()

    assert controls_of(None, None, Scored(), None) == {}
