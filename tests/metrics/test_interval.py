import numpy as np
import pytest

from mlcd_eval.metrics import interval
from mlcd_eval.metrics.interval import bootstrap, bootstrap_class_means, bootstrap_sums, generator, ratio, widened


def rng(seed=0):
    return np.random.default_rng(seed)


def bootstrap_mean(outcomes, rng, groups=None, **options):
    return bootstrap_sums(np.column_stack([outcomes, np.ones(len(outcomes))]), ratio, rng, groups, **options)


def test_mean_of_right_or_wrong_agrees_with_the_binomial():
    outcomes = np.repeat([1, 0], [300, 700])
    low, high = bootstrap_mean(outcomes, rng(), resamples=20_000)
    half_width = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert low == pytest.approx(0.3 - half_width, abs=2e-3)
    assert high == pytest.approx(0.3 + half_width, abs=2e-3)


def test_fast_paths_agree_with_resampled_indices():
    r = rng(1)
    n = 400
    values, labels, weight = r.random(n), r.integers(5, size=n), r.random(n) + 0.5
    correct = (values > 0.4).astype(float)

    def per_class(i):
        return np.mean([correct[i][labels[i] == c].mean() for c in np.unique(labels[i])])

    many = {"resamples": 4000}
    slow = bootstrap(lambda i: values[i].mean(), n, rng(), **many)
    assert bootstrap_mean(values, rng(), **many) == pytest.approx(slow, abs=3e-3)
    slow = bootstrap(lambda i: values[i].sum() / weight[i].sum(), n, rng(), **many)
    fast = bootstrap_sums(np.column_stack([values, weight]), ratio, rng(), **many)
    assert fast == pytest.approx(slow, abs=4e-3)
    slow = bootstrap(per_class, n, rng(), **many)
    assert bootstrap_class_means(correct, labels, rng(), **many) == pytest.approx(slow, abs=4e-3)


def test_a_class_of_one_sample_counts_as_much_as_the_others():
    """All are right, so that every resample's mean over classes is 1, whichever classes it lacks."""
    assert bootstrap_class_means(np.ones(6), np.array([0, 0, 0, 0, 1, 2]), rng()) == (1.0, 1.0)


def test_groups_are_resampled_whole():
    images = np.repeat(np.arange(100), 5)  # five captions per image, all right or all wrong
    outcomes = np.repeat(rng(2).random(100) < 0.5, 5)
    fast = bootstrap_mean(outcomes, rng(), groups=images, resamples=4000)
    captions = np.arange(500).reshape(100, 5)
    slow = bootstrap(lambda i: outcomes[captions[i]].mean(), 100, rng(), resamples=4000)
    assert fast == pytest.approx(slow, abs=0.01)
    one_per_image = bootstrap_mean(outcomes[::5], rng(), resamples=4000)
    assert fast == pytest.approx(one_per_image, abs=0.01)
    narrow = bootstrap_mean(outcomes, rng(), resamples=4000)
    assert (fast[1] - fast[0]) > 2 * (narrow[1] - narrow[0])


def test_groups_of_unequal_size_weigh_by_their_samples():
    outcomes, images = np.array([1.0, 0, 0, 0]), np.array(["a", "b", "b", "b"])
    low, high = bootstrap_mean(outcomes, rng(), groups=images)
    assert (low, high) == (0.0, 1.0)  # resamples: aa 1, ab 1/4, bb 0


def test_a_ratio_over_zero_is_nan():
    assert ratio(np.array([[1.0, 4.0], [3.0, 0.0], [0.0, 0.0]])) == pytest.approx([0.25, np.nan, np.nan], nan_ok=True)


def test_each_name_has_a_source_of_chance_of_its_own():
    draws = {name: generator(3, name).random(4).tolist() for name in ("acc1", "acc5", "knn_acc1@20", "knn_acc1@200")}
    assert len({tuple(numbers) for numbers in draws.values()}) == 4
    assert generator(3, "acc1").random(4).tolist() == draws["acc1"] != generator(4, "acc1").random(4).tolist()
    # pinned: a change would move the intervals of every record
    assert generator(0, "acc1").integers(1000, size=4).tolist() == [51, 22, 248, 340]


def test_seeded_and_inside_the_range():
    outcomes = rng(4).random(50)
    assert bootstrap_mean(outcomes, rng(7)) == bootstrap_mean(outcomes, rng(7))
    assert bootstrap_mean(outcomes, rng(7)) != bootstrap_mean(outcomes, rng(8))
    assert bootstrap_mean(np.ones(10), rng()) == (1.0, 1.0)
    assert bootstrap_mean([0.25], rng()) == (0.25, 0.25)


def test_nothing_to_resample():
    assert bootstrap_mean([], rng()) is None
    assert bootstrap_class_means([], [], rng()) is None
    assert bootstrap_sums([[0.0, 0.0], [0.0, 0.0]], ratio, rng()) is None
    assert bootstrap(lambda i: 1.0, 0, rng()) is None
    assert bootstrap(lambda i: None, 5, rng()) is None


def test_undefined_resamples_are_left_out():
    low, high = bootstrap(lambda i: None if (i == 0).all() else float(i.mean()), 2, rng())
    assert (low, high) == (0.5, 1.0)


def test_draws_in_chunks_are_the_draws_at_once(monkeypatch):
    outcomes, labels = rng(3).random(9), np.arange(9) % 3
    whole = bootstrap_mean(outcomes, rng()), bootstrap_class_means(outcomes, labels, rng())
    monkeypatch.setattr(interval, "_CHUNK", 9 * 7 + 1)
    chunks = list(interval._resampled_counts(np.ones(9, int), rng(), 30))
    assert [len(counts) for counts in chunks] == [7, 7, 7, 7, 2] and (np.concatenate(chunks).sum(axis=1) == 9).all()
    assert (bootstrap_mean(outcomes, rng()), bootstrap_class_means(outcomes, labels, rng())) == whole
    monkeypatch.setattr(interval, "_CHUNK", 1)
    assert [len(counts) for counts in interval._resampled_counts(np.ones(9, int), rng(), 2)] == [1, 1]


def test_a_thousand_resamples_between_the_fortieths():
    values = np.arange(1.0, 1001.0)
    assert interval._percentiles(np.append(values, np.nan)) == (1 + 0.025 * 999, 1 + 0.975 * 999)
    assert (
        interval.RESAMPLES == 1000 and sum(map(len, interval._resampled_counts(np.ones(2, int), rng(), 1000))) == 1000
    )


def test_a_standard_error_is_that_of_a_mean():
    values = rng(1).normal(size=50)
    expected = values.std() / 50**0.5
    assert interval.standard_error(values - values.mean()) == pytest.approx(expected)


def test_memory_is_bounded():
    import tracemalloc

    outcomes = rng(5).random(50_000)
    tracemalloc.start()
    bootstrap_mean(outcomes, rng(), resamples=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6


def test_a_further_source_of_noise_adds_in_quadrature_and_stays_a_fraction():
    assert widened((0.47, 0.56), 0.5, 0.04 / 1.959963984540054) == pytest.approx((0.45, 0.5 + np.hypot(0.06, 0.04)))
    assert widened((0.0, 0.1), 0.05, 0.0) == (0.0, 0.1)
    assert widened((0.9, 1.0), 0.95, 0.2)[1] == 1.0
