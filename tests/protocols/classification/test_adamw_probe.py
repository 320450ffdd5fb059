"""Against clip_benchmark's own linear_probe.evaluate, which asks for CUDA: here its tensors stay on the CPU."""

import contextlib
import io

import numpy as np
import pytest
import torch
from clip_benchmark.metrics import linear_probe as theirs
from protocol_inputs import features, mixture, rng, values

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.adamw_probe import MOST_TRAININGS
from mlcd_eval.protocols.classification.linear_probe import LinearProbe
from mlcd_eval.protocols.classification.probe_settings import DIALECTS, LinearProbeSettings


class Cuda(str):
    """The CPU, which says that it is CUDA."""

    def __eq__(self, other):
        return other in ("cpu", "cuda")

    __hash__ = str.__hash__


@pytest.fixture
def on_the_cpu(monkeypatch):
    for kind in (torch.Tensor, torch.nn.Module):
        monkeypatch.setattr(kind, "cuda", lambda self: self)
    monkeypatch.setattr(theirs, "tqdm", lambda loader: loader)


def oracle(folder, parts, shots=-1, lr=0.1, epochs=10, batch_size=64, seed=0):
    """Their numbers for features of train, val (or None) and test, which are in their cache."""
    cache = folder / f"features{len(list(folder.iterdir()))}"
    (cache / "model").mkdir(parents=True)
    for name, part in parts.items():
        if part is not None:
            unit = torch.nn.functional.normalize(torch.tensor(part.array), dim=-1)
            torch.save(unit, cache / "model" / f"features_{name}.pt")
            torch.save(torch.tensor(part.labels), cache / "model" / f"targets_{name}.pt")
    torch.manual_seed(seed)
    val = None if parts.get("val") is None else "a loader of val"
    with contextlib.redirect_stdout(io.StringIO()):
        return theirs.evaluate(
            torch.nn.Identity(), None, None, shots, batch_size, 0, lr, epochs, "model", seed, str(cache),
            device=Cuda("cpu"), val_dataloader=val, amp=False,
        )  # fmt: skip


def ours(parts, seed=0, adamw=None, **settings):
    given = {**DIALECTS["clip-benchmark"].settings, "adamw": adamw or {}, **settings}
    images = {name: part for name, part in parts.items() if part is not None}
    return LinearProbe().score(LinearProbeSettings.model_validate(given), Inputs(images, seed=seed))


def splits(seed=0, **options):
    train, val, test = mixture(seed, sizes=(300, 120, 200), d=12, c=7, **options)
    return {"train": train, "val": val, "test": test}


def agrees(scores, expected):
    metrics = values(scores)
    assert metrics["acc1"] == pytest.approx(expected["lp_acc1"], abs=1e-7)  # theirs is float32
    assert metrics["acc5"] == pytest.approx(expected["lp_acc5"], abs=1e-7)
    assert metrics["mean_per_class_recall"] == pytest.approx(expected["lp_mean_per_class_recall"], abs=1e-12)
    assert scores.details["weight_decay"] == expected["weight_decay"]


@pytest.mark.parametrize(("weight_decay", "total"), [(0.0, 1), (None, MOST_TRAININGS)])
def test_trainings_are_counted_to_their_total(weight_decay, total):
    """A search that needs fewer counts the rest at its end."""
    totals, done = [], []

    @contextlib.contextmanager
    def stage(what, total, unit):
        totals.append(total)
        yield done.append

    settings = {**DIALECTS["clip-benchmark"].settings, "adamw": {"weight_decay": weight_decay, "epochs": 1}}
    images = dict(zip(("train", "val", "test"), mixture(0, sizes=(40, 30, 20)), strict=True))
    LinearProbe().score(LinearProbeSettings.model_validate(settings), Inputs(images, stage=stage))
    assert totals == [total] and sum(done) == total and min(done) >= 0


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_its_defaults(tmp_path, on_the_cpu, seed):
    parts = {**splits(seed), "val": None}
    agrees(ours(parts, seed=seed), oracle(tmp_path, parts, seed=seed))


@pytest.mark.parametrize("options", [{"lr": 0.01, "epochs": 3}, {"batch_size": 37, "lr": 1.0}, {"batch_size": 1000}])
def test_its_options(tmp_path, on_the_cpu, options):
    parts = {**splits(3), "val": None}
    agrees(ours(parts, adamw=options), oracle(tmp_path, parts, **options))


@pytest.mark.parametrize("seed", [0, 5])
def test_few_shots(tmp_path, on_the_cpu, seed):
    parts = {**splits(seed), "val": None}
    scores = ours(parts, seed=seed, shots=8)
    assert scores.details["num_train"] == 7 * 8
    agrees(scores, oracle(tmp_path, parts, shots=8, seed=seed))


@pytest.mark.parametrize(("shots", "trained"), [(None, 420), (6, 42)])
def test_the_search_of_the_weight_decay(tmp_path, on_the_cpu, shots, trained):
    noisy = splits(1)
    labels = np.where(rng(0).random(300) < 0.5, rng(1).integers(7, size=300), noisy["train"].labels)
    parts = {**noisy, "train": features(noisy["train"].array, labels)}
    few = {"epochs": 2, "batch_size": 32}
    scores = ours(parts, adamw={"weight_decay": None, **few}, shots=shots)
    agrees(scores, oracle(tmp_path, parts, shots=shots or -1, **few))
    assert scores.details["num_train"] == trained
    assert len({step["score"] for step in scores.details["search"]}) > 2


def test_trials_have_seeds_one_after_the_other(tmp_path, on_the_cpu):
    parts = {**splits(4), "val": None}
    scores = ours(parts, seed=3, shots=4, trials=3)
    each = [oracle(tmp_path, parts, shots=4, seed=seed)["lp_acc1"] for seed in (3, 4, 5)]
    assert [trial["acc1"] for trial in scores.details["trials"]] == pytest.approx(each, abs=1e-7)
    assert values(scores)["acc1"] == pytest.approx(np.mean(each), abs=1e-7)


def test_a_class_above_those_of_train_is_never_predicted():
    parts = splits(2)
    low = parts["train"].labels < 5
    parts = {"train": features(parts["train"].array[low], parts["train"].labels[low]), "test": parts["test"]}
    scores = ours(parts)
    assert max(scores.samples["prediction"]) == 4
    assert {rank for rank, label in zip(scores.samples["rank"], scores.samples["label"], strict=True) if label > 4} == {
        8
    }


def test_the_splits_that_are_read():
    probe, defaults = LinearProbe(), DIALECTS["clip-benchmark"].settings
    fixed = LinearProbeSettings.model_validate(defaults)
    assert set(probe.requests(fixed, ["train", "val", "test"])) == {"train", "test"}
    searched = LinearProbeSettings.model_validate({**defaults, "adamw": {"weight_decay": None}, "shots": 4})
    assert set(probe.requests(searched, ["train", "val", "test"])) == {"train", "val", "test"}
    with pytest.raises(IncompatibleError, match="searched on the val split: got the splits train, test"):
        probe.requests(searched, ["train", "test"])


def test_several_labels_per_image_are_refused():
    parts = {
        name: features(rng(0).normal(size=(20, 4)), np.eye(4, dtype=int)[np.arange(20) % 4])
        for name in ("train", "test")
    }
    with pytest.raises(IncompatibleError, match="AdamW trains a softmax: got a dataset with several labels"):
        ours(parts, metric=None)
