"""Against scikit-learn, standard errors against leaving each sample out and against repeated draws."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, v_measure_score

from mlcd_eval.metrics.clustering import adjusted_rand_index, normalized_mutual_information
from mlcd_eval.metrics.interval import standard_error
from mlcd_eval.metrics.table import measure, metric_kind

BOTH = [(normalized_mutual_information, normalized_mutual_info_score), (adjusted_rand_index, adjusted_rand_score)]


def draw(r, n=200, classes=6, noise=0.4):
    labels = r.integers(classes, size=n)
    return labels, np.where(r.random(n) < noise, r.integers(classes + 2, size=n), (labels + 3) % classes)


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
@pytest.mark.parametrize("seed", range(10))
def test_values_are_scikit_learns(ours, theirs, seed):
    r = np.random.default_rng(seed)
    labels, clusters = draw(r, n=int(r.integers(2, 60)), classes=int(r.integers(1, 9)), noise=r.random())
    assert ours(labels, clusters)[0] == pytest.approx(theirs(labels, clusters), abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
@pytest.mark.parametrize(
    ("labels", "clusters"),
    [
        ([0, 0, 0], [1, 1, 1]),
        ([0, 1, 2], [2, 0, 1]),
        ([0, 0, 1, 1], [1, 1, 0, 0]),
        ([0, 0, 1, 1], [0, 0, 0, 0]),
        ([0, 0, 0, 0], [0, 1, 2, 3]),
        ([0, 0, 1, 1], [0, 1, 0, 1]),
        ([0], [0]),
    ],
)
def test_extremes_are_scikit_learns(ours, theirs, labels, clusters):
    value, influences = ours(np.array(labels), np.array(clusters))
    assert value == pytest.approx(theirs(labels, clusters), abs=1e-12)
    assert np.isfinite(influences).all()


def test_nmi_is_the_v_measure():
    labels, clusters = draw(np.random.default_rng(0))
    assert normalized_mutual_information(labels, clusters)[0] == pytest.approx(v_measure_score(labels, clusters))


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
def test_standard_error_is_that_of_leaving_each_sample_out(ours, theirs):
    labels, clusters = draw(np.random.default_rng(1), n=800, classes=3)
    n = len(labels)
    without = np.array([theirs(np.delete(labels, row), np.delete(clusters, row)) for row in range(n)])
    jackknife = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    influences = ours(labels, clusters)[1]
    assert influences.mean() == pytest.approx(0, abs=1e-12)
    assert standard_error(influences) == pytest.approx(jackknife, rel=0.05)
    assert np.corrcoef(influences, without.mean() - without)[0, 1] > 0.999


@pytest.mark.parametrize("name", ["nmi", "ari"])
def test_the_interval_is_as_wide_as_the_values_of_new_samples_spread(name):
    values, widths = [], []
    for seed in range(300):
        labels, clusters = draw(np.random.default_rng(seed), n=500)
        metric = measure(name, {"label": labels, "cluster": clusters}, seed=0)
        values.append(metric.value)
        widths.append(metric.ci95[1] - metric.ci95[0])
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(values), rel=0.1)


@pytest.mark.parametrize("name", ["nmi", "ari"])
def test_a_pair_of_equal_clusterings_differs_by_chance_in_one_of_twenty(name):
    kind, p = metric_kind(name), []
    for seed in range(300):
        r = np.random.default_rng(seed)
        labels, first = draw(r, n=400)
        noise = r.random(400) < 0.4
        second = np.where(noise, r.integers(8, size=400), (labels + 3) % 6)
        pair = [{"label": labels, "cluster": clusters} for clusters in (first, second)]
        p.append(kind.statistic.paired(*pair, None, r).p)
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09
    same = {"label": labels, "cluster": first}
    assert kind.statistic.paired(same, same, None, r).p == 1
