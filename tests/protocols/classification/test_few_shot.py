"""The linear probe of few images per class."""

import numpy as np
import pytest
from probe_scores import score
from protocol_inputs import features, mixture, rng, values

from mlcd_eval.data.split import few_shot


def test_few_shot_reads_no_further_label():
    train, test = mixture(7)
    rows = few_shot(train.labels, 4, rng(0))
    others = np.setdiff1d(np.arange(len(train.labels)), rows)
    blind = train.array.copy()
    blind[others] = 1e3
    first, second = (score(part, test, shots=4, trials=1) for part in (train, features(blind, train.labels)))
    assert first.details == second.details and values(first) == values(second)
    assert first.details["num_train"] == 20
    assert first.details["lambda_from"].endswith("on 5 samples")


def test_few_shot_is_the_mean_over_draws():
    train, test = mixture(8)
    scores = score(train, test, shots=4, trials=3)
    trials = scores.details["trials"]
    assert values(scores)["acc1"] == pytest.approx(np.mean([trial["acc1"] for trial in trials]))
    assert scores.details["std_over_trials"]["acc1"] == pytest.approx(np.std([t["acc1"] for t in trials], ddof=1))
    assert len({trial["acc1"] for trial in trials}) > 1
    assert np.shape(scores.samples["prediction"]) == (80, 3)
    assert np.mean(scores.samples["correct"]) == pytest.approx(values(scores)["acc1"])


@pytest.mark.parametrize("trials", [1, 2])
def test_classes_with_fewer_images_than_shots_are_counted(trials):
    train, test = mixture(8)
    few = np.isin(np.arange(len(train.labels)), few_shot(train.labels, 3, rng(0))) | (train.labels > 1)  # of 0 and 1
    train = features(train.array[few], train.labels[few])
    with pytest.warns(UserWarning, match="shots=4: 2 of 5 classes have fewer train images, of which all are taken"):
        assert score(train, test, shots=4, trials=trials).details["classes_with_fewer_shots"] == 2
    assert "classes_with_fewer_shots" not in score(train, test, shots=3, trials=trials).details


def test_one_shot_takes_the_default_lambda():
    train, test = mixture(9)
    scores = score(train, test, shots=1, trials=1)
    assert scores.details["lambda"] == 1.0
    assert scores.details["lambda_from"] == "default: no class has two train samples"
