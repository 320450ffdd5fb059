"""The draws and penalties of other sources, against their statements in plain Python and scikit-learn's fits."""

from collections import Counter

import numpy as np
import pytest
import torch
from protocol_inputs import features, mixture, rng, values
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score

from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification import probe_training
from mlcd_eval.protocols.classification.draws import DRAWS, dinov2_split, dinov3_split
from mlcd_eval.protocols.classification.linear_probe import LinearProbe
from mlcd_eval.protocols.classification.probe_settings import DIALECTS, LinearProbeSettings


def score(dialect, train, test, val=None, seed=0, **settings):
    images = {"train": train, "val": val, "test": test} if val else {"train": train, "test": test}
    given = {**DIALECTS[dialect].settings, **settings}
    return LinearProbe().score(LinearProbeSettings.model_validate(given), Inputs(images, seed=seed))


def fitted(x, y, c):
    return LogisticRegression(C=c, tol=1e-10, max_iter=50_000).fit(x.astype(np.float64), y)


def mteb_rows(labels, shots, trials):
    """As AbsTaskClassification._undersample_data: one list, shuffled in place by a new generator of the same seed."""
    order, drawn = list(range(len(labels))), []
    for _ in range(trials):
        np.random.RandomState(42).shuffle(order)
        taken, rows = Counter(), []
        for row in order:
            if taken[labels[row]] < shots:
                rows.append(row)
                taken[labels[row]] += 1
        drawn.append(rows)
    return drawn


@pytest.mark.parametrize(("n", "classes", "shots"), [(7, 2, 3), (500, 20, 16), (3000, 7, 16), (50, 30, 2)])
def test_mteb_draws_the_same_rows_in_the_same_order(n, classes, shots):
    labels = rng(n).integers(classes, size=n)
    drawn = [rows.tolist() for rows in DRAWS["mteb"](labels, shots, 5, rng(), 0)]
    assert drawn == mteb_rows(labels.tolist(), shots, 5)
    assert n < 10 or len({tuple(rows) for rows in drawn}) == 5


@pytest.mark.parametrize("classes", [2, 5])
def test_mteb_is_scikit_learn_with_c_1_on_its_rows(classes):
    train, test = mixture(2, sizes=(300, 200), d=10, c=classes)
    scores = score("mteb", train, test, seed=9)
    expected = {"acc1": [], "macro_recall": [], "macro_f1": []}
    for trial, rows in enumerate(mteb_rows(train.labels.tolist(), 16, 5)):
        predicted = fitted(train.array[rows], train.labels[rows], 1.0).predict(test.array.astype(np.float64))
        assert [row[trial] for row in scores.samples["prediction"]] == predicted.tolist()
        expected["acc1"].append((predicted == test.labels).mean())
        expected["macro_recall"].append(recall_score(test.labels, predicted, average="macro", zero_division=0))
        expected["macro_f1"].append(f1_score(test.labels, predicted, average="macro", zero_division=0))
    for name, of_trials in expected.items():
        assert values(scores)[name] == pytest.approx(np.mean(of_trials))
        assert [trial[name] for trial in scores.details["trials"]] == pytest.approx(of_trials)
    assert score("mteb", train, test, seed=1).samples == scores.samples  # the seed is mteb's own


@pytest.mark.parametrize("classes", [2, 4])
def test_c_is_scikit_learns(classes):
    train, test = mixture(3, sizes=(120, 100), c=classes)
    settings = LinearProbeSettings(c=0.03)
    scores = LinearProbe().score(settings, Inputs({"train": train, "test": test}))
    predicted = fitted(train.array, train.labels, 0.03).predict(test.array.astype(np.float64))
    assert scores.samples["prediction"] == predicted.tolist()
    assert scores.details["lambda"] == pytest.approx((2 if classes == 2 else 1) / 0.03)
    assert LinearProbe().score(LinearProbeSettings(c=50.0), Inputs({"train": train, "test": test})) != scores


def test_normalised_features_are_of_unit_length():
    train, test = mixture(4)
    unit = [part.array / np.linalg.norm(part.array, axis=1, keepdims=True) for part in (train, test)]
    stretched = [
        features(rows * rng(1).uniform(0.1, 9, (len(rows), 1)), part.labels)
        for rows, part in zip(unit, (train, test), strict=True)
    ]
    inputs = Inputs(dict(zip(("train", "test"), stretched, strict=True)))
    scores = LinearProbe().score(LinearProbeSettings(normalise=True, c=10.0), inputs)
    predicted = fitted(unit[0], train.labels, 10.0).predict(unit[1].astype(np.float64))
    assert scores.samples["prediction"] == predicted.tolist()


@pytest.mark.parametrize("n", [10, 37, 400])
def test_dinov2_holds_out_a_tenth_of_a_permutation(n):
    torch.manual_seed(0)
    indices = torch.randperm(n).tolist()
    fit, val = dinov2_split(rng().integers(3, size=n), 0.1, rng())
    assert val.tolist() == indices[: n // 10] and fit.tolist() == indices[n // 10 :]


def test_dinov3_holds_out_a_tenth_of_each_class_of_a_permutation():
    labels = rng(5).choice(6, p=[0.5, 0.2, 0.15, 0.1, 0.04, 0.01], size=200)
    labels[labels == 5] = 4
    labels[0] = 5  # the only one of its class
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0)).tolist()
    held = []
    for label in range(6):
        members = [row for row in order if labels[row] == label]
        held += members[: 0 if len(members) == 1 else max(1, int(0.1 * len(members)))]
    fit, val = dinov3_split(labels, 0.1, rng())
    assert set(val.tolist()) == set(held) and 0 not in val
    assert sorted([*fit, *val]) == list(range(200))


def test_dinov3_holds_out_of_several_labels_too():
    labels = (rng(6).random((100, 4)) < 0.3).astype(int)
    fit, val = dinov3_split(labels, 0.1, rng())
    assert sorted([*fit, *val]) == list(range(100))
    assert (labels[val].sum(axis=0) >= (0.1 * labels.sum(axis=0)).astype(int)).all()


@pytest.mark.parametrize(("dialect", "split"), [("dinov2", dinov2_split), ("dinov3", dinov3_split)])
@pytest.mark.parametrize("classes", [2, 4])
def test_dino_tries_45_values_of_c_and_fits_all_rows_with_the_best(monkeypatch, dialect, split, classes):
    monkeypatch.setattr(probe_training, "SEARCH_TOLERANCE", 1e-8)
    monkeypatch.setattr(probe_training, "OUT_OF_REACH", np.inf)
    train, test = mixture(7, sizes=(150, 100), d=6, c=classes)
    labels = np.where(rng(8).random(150) < 0.3, rng(9).integers(classes, size=150), train.labels)
    train = features(train.array, labels)
    fit, val = split(labels, 0.1, rng())
    tried = {}
    for c in (10 ** torch.linspace(-6, 5, 45).double()).tolist():
        predicted = fitted(train.array[fit], labels[fit], c).predict(train.array[val].astype(np.float64))
        tried[c] = (predicted == labels[val]).mean()
    best = max(tried, key=tried.get)  # the first of equal ones
    scores = score(dialect, train, test)
    assert [step["score"] for step in scores.details["search"]] == pytest.approx(list(tried.values()))
    assert scores.details["lambda"] == pytest.approx((2 if classes == 2 else 1) / best, rel=1e-5)
    assert scores.details["num_train"] == 150
    final = fitted(train.array, labels, best).predict(test.array.astype(np.float64))
    assert scores.samples["prediction"] == final.tolist()


def test_dino_searches_on_val_where_there_is_one():
    train, val, test = mixture(10, sizes=(100, 50, 60))
    details = score("dinov2", train, test, val).details
    assert details["lambda_from"] == "search by acc1 on 50 samples" and details["num_train"] == 150


@pytest.mark.parametrize(
    ("given", "named"), [({"c": 1, "lambda_": 1}, "lambda_ and c"), ({"c": 1, "adamw": {}}, "c and adamw")]
)
def test_one_penalty_is_given(given, named):
    with pytest.raises(ValidationError, match=f"expected at most one of lambda_, c, adamw and sgd, got {named}"):
        LinearProbeSettings.model_validate(given)


def test_a_seed_that_changes_nothing_is_not_part_of_a_number():
    matters = LinearProbe().seed_matters
    settings = {name: dialect.settings for name, dialect in DIALECTS.items()}
    of_dialect = {name: LinearProbeSettings.model_validate(given) for name, given in settings.items()}
    seeded = {name: matters(settings.model_dump(mode="json")) for name, settings in of_dialect.items()}
    trained = {"clip-benchmark": True, "dinov2-linear": True, "dinov3-linear": True}
    assert seeded == {"clip": True, "mteb": False, "dinov2": False, "dinov3": False, **trained}
    assert matters(LinearProbeSettings().model_dump(mode="json")) and matters({"lambda_": None})
