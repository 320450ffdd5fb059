import numpy as np
import pytest
import torch
from protocol_inputs import rng
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from mlcd_eval.protocols.classification.logistic import LogisticProblem, Path, components, line, preconditioner, problem
from mlcd_eval.protocols.classification.logistic.line_search import cubic_minimiser, search


def draw(seed=0, n=120, d=10, c=4):
    """Features with a large mean and a wide spectrum, as encoders give."""
    r = rng(seed)
    labels = r.integers(c, size=n)
    scale = 3.0 / np.arange(1, d + 1)
    features = r.normal(size=(c, d))[labels] * scale + r.normal(size=(n, d)) * scale + 20 * r.normal(size=d)
    return features.astype(np.float32), labels


def objective(x, labels, lambda_, weight, bias):
    logits = x.astype(np.float64) @ weight.T + bias
    return -log_softmax(logits, axis=1)[np.arange(len(x)), labels].sum() + lambda_ / 2 * (weight**2).sum()


def oracle(x, labels, lambda_, c):
    """Minimum by scipy, in float64, of the formula as it is written."""
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    hot = np.eye(c)[labels]

    def f(theta):
        weight, bias = theta[:-c].reshape(c, -1), theta[-c:]
        residual = softmax(x @ weight.T + bias, axis=1) - hot
        gradient = np.r_[(residual.T @ x + lambda_ * weight).ravel(), residual.sum(axis=0)]
        return objective(x, labels, lambda_, weight, bias), gradient

    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 50}
    return minimize(f, np.zeros(c * (x.shape[1] + 1)), jac=True, method="L-BFGS-B", options=options).fun


@pytest.mark.parametrize("lambda_", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("shape", [(120, 10, 4), (120, 10, 2), (12, 40, 3)])
def test_the_minimum_for_every_lambda(lambda_, shape):
    n, d, c = shape
    x, labels = draw(n=n, d=d, c=c)
    fit = LogisticProblem(x, labels, c).fit(lambda_)
    expected = oracle(x, labels, lambda_, c)
    got = objective(x, labels, lambda_, fit.weight.numpy(), fit.bias.numpy())
    assert got == pytest.approx(expected, rel=2e-6)
    assert fit.objective == pytest.approx(got, rel=1e-5)
    assert fit.converged and fit.iterations < 1000


@pytest.mark.parametrize("seed", [*range(6), 48, 290])  # the last two are the worst of 300
def test_problems_of_all_kinds(seed):
    """Few samples or many, flat or steep spectra, large means, constant and equal features, any lambda."""
    r = rng(seed)
    n, d, c = int(r.integers(6, 400)), int(r.integers(1, 60)), int(r.integers(2, 12))
    c = min(c, n)
    labels = np.r_[np.arange(c), r.integers(c, size=n - c)]
    r.shuffle(labels)
    scale = 10.0 ** r.uniform(-3, 2) / np.arange(1, d + 1) ** r.uniform(0, 2)
    x = (r.normal(size=(c, d))[labels] * r.uniform(0, 3) + r.normal(size=(n, d))) * scale
    x += r.normal(size=d) * scale * r.choice([0, 20])
    if r.random() < 0.2:
        x[:, 0] = x[0, 0]
    if r.random() < 0.2:
        x[n // 2 :] = x[: n - n // 2]
    x, lambda_ = x.astype(np.float32), 10.0 ** r.uniform(-6, 6)
    fit = LogisticProblem(x, labels, c).fit(lambda_)
    got = objective(x, labels, lambda_, fit.weight.numpy(), fit.bias.numpy())
    assert fit.converged and got == pytest.approx(oracle(x, labels, lambda_, c), rel=3e-5)


@pytest.mark.parametrize("lambda_", [0.1, 10.0])
def test_against_scikit_learn(lambda_):
    x, labels = draw(1)
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)  # else theirs takes for ever
    theirs = LogisticRegression(C=1 / lambda_, tol=1e-10, max_iter=10_000).fit(centred, labels)
    fit = LogisticProblem(x, labels, 4).fit(lambda_)
    assert fit.weight.numpy() == pytest.approx(theirs.coef_, abs=1e-3 * np.abs(theirs.coef_).max())
    scores = np.concatenate(list(fit.scores(x)))
    assert softmax(scores, axis=1) == pytest.approx(theirs.predict_proba(centred), abs=1e-3)


def test_two_classes_are_scikit_learn_with_half_the_lambda():
    x, labels = draw(2, c=2)
    theirs = LogisticRegression(C=2 / 0.5, tol=1e-10, max_iter=10_000).fit(x.astype(np.float64), labels)
    fit = LogisticProblem(x, labels, 2).fit(0.5)
    assert (fit.weight[1] - fit.weight[0]).numpy() == pytest.approx(theirs.coef_[0], abs=1e-3)


def test_one_vs_rest_is_a_binary_regression_for_each_label():
    x, _ = draw(3)
    labels = (rng(4).random((len(x), 3)) < [0.5, 0.1, 0.3]).astype(np.int64)
    labels[:, 1] |= x[:, 0] > x[:, 0].mean() + 3
    fit = LogisticProblem(x, labels, 3).fit(2.0)
    for c in range(3):
        theirs = LogisticRegression(C=1 / 2.0, tol=1e-10, max_iter=10_000).fit(x.astype(np.float64), labels[:, c])
        assert fit.weight[c].numpy() == pytest.approx(theirs.coef_[0], abs=1e-3)
        assert np.concatenate(list(fit.scores(x)))[:, c] == pytest.approx(
            theirs.decision_function(x.astype(np.float64)), abs=1e-2
        )


@pytest.mark.parametrize("lambda_", [1e-4, 1.0, 1e4])
def test_the_gap_tells_the_true_excess(lambda_):
    x, labels = draw(5)
    problem = LogisticProblem(x, labels, 4)
    best = problem.fit(lambda_, tolerance=1e-7).objective
    for tolerance in (1e-3, 1e-4, 1e-5):
        fit = problem.fit(lambda_, tolerance=tolerance)
        assert fit.converged and fit.gap <= tolerance
        assert -1e-6 <= (fit.objective - best) / best <= 10 * fit.gap + 1e-6


def test_the_cap_on_iterations_is_said():
    x, labels = draw(6)
    fit = LogisticProblem(x, labels, 4).fit(1e-4, max_iterations=5)
    assert fit.iterations == 5 and not fit.converged and fit.gap > 1e-6


def test_chunks_few_hard_samples_and_few_pairs_give_the_same(monkeypatch):
    x, labels = draw(7)
    fit = LogisticProblem(x, labels, 4).fit(0.1)
    monkeypatch.setitem(components.CHUNK, "cpu", 100)
    monkeypatch.setattr(line, "LEAST_ROWS", 25)
    monkeypatch.setattr(preconditioner, "HARD", 3)
    monkeypatch.setattr(problem, "PAIRS", 10)
    small = LogisticProblem(x, labels, 4).fit(0.1)
    assert small.objective == pytest.approx(fit.objective, rel=1e-6)
    assert small.weight.numpy() == pytest.approx(fit.weight.numpy(), abs=1e-2)
    assert np.concatenate(list(small.scores(x))) == pytest.approx(np.concatenate(list(fit.scores(x))), abs=5e-2)


@pytest.mark.parametrize("lambda_", [1e-3, 1.0])
def test_logits_that_are_not_kept_give_the_same(monkeypatch, lambda_):
    x, labels = draw(14)
    kept = LogisticProblem(x, labels, 4).fit(lambda_)
    monkeypatch.setitem(line.KEPT, "cpu", 0)
    anew = LogisticProblem(x, labels, 4).fit(lambda_)
    assert anew.objective == pytest.approx(kept.objective, rel=2e-6)
    assert anew.iterations > kept.iterations  # every trial is a pass


@pytest.mark.parametrize(
    ("function", "slope", "first"),
    [
        (lambda t: ((t - 0.3) ** 2, 2 * (t - 0.3)), -0.6, 1.0),
        (lambda t: ((t - 0.3) ** 2, 2 * (t - 0.3)), -0.6, 0.05),
        (lambda t: (np.exp(30 * t) - 50 * t, 30 * np.exp(30 * t) - 50), -20.0, 1.0),
    ],
)
def test_a_step_is_nearly_the_best_of_its_direction(function, slope, first):
    called = []

    def at(step):
        called.append(step)
        return function(step)

    step, value = search(at, function(0.0)[0], slope, first)
    assert step == called[-1] and value == function(step)[0] < function(0.0)[0]
    assert abs(function(step)[1]) <= 0.3 * abs(slope)


def test_a_whole_step_is_the_longest():
    assert search(lambda t: (-t, -1.0), 0.0, -1.0, 0.5) == (1.0, -1.0)


def test_a_search_ends_where_nothing_is_lower():
    for never in (1.0, float("nan"), float("inf")):
        steps = []
        step, value = search(lambda t, never=never, steps=steps: (steps.append(t) or never, 1.0), 0.0, -1.0, 1.0)
        assert step == steps[-1] and len(steps) == 50 and value is never


def test_a_fit_not_worth_while_ends_early():
    x, labels = draw(15)
    asked = []

    def answer(yes):
        def worth(fit):
            asked.append(fit.gap)
            return yes

        return worth

    problem = LogisticProblem(x, labels, 4)
    whole, early, late = (
        problem.fit(1e-3),
        problem.fit(1e-3, worth=answer(False)),
        problem.fit(1e-3, worth=answer(True)),
    )
    assert len(asked) == 2 and early.gap == asked[0] > 1e-6 and not early.converged
    assert early.iterations < whole.iterations
    assert late.converged and late.objective == whole.objective


def test_laws():
    x, labels = draw(8)
    weight = LogisticProblem(x, labels, 4).fit(1.0).weight.numpy()
    close = {"abs": 2e-3 * np.abs(weight).max()}
    rows = rng(1).permutation(len(x))
    assert LogisticProblem(x[rows], labels[rows], 4).fit(1.0).weight.numpy() == pytest.approx(weight, **close)
    assert LogisticProblem(x + 5, labels, 4).fit(1.0).weight.numpy() == pytest.approx(weight, **close)
    assert LogisticProblem(2 * x, labels, 4).fit(4.0).weight.numpy() == pytest.approx(weight / 2, **close)
    twice = LogisticProblem(np.r_[x, x], np.r_[labels, labels], 4).fit(2.0).weight.numpy()
    assert twice == pytest.approx(weight, **close)
    assert weight.sum(axis=0) == pytest.approx(0, abs=1e-6)
    again = LogisticProblem(x, labels, 4).fit(1.0).weight.numpy()
    assert np.array_equal(again, weight)


def test_a_class_without_samples_is_never_predicted():
    x, labels = draw(9, c=3)
    fit = LogisticProblem(x, np.array([0, 2, 3])[labels], 5).fit(1.0)
    assert fit.bias[[1, 4]].tolist() == [-np.inf, -np.inf] and not fit.weight[[1, 4]].any()
    only = LogisticProblem(x, labels, 3).fit(1.0)
    assert fit.weight[[0, 2, 3]].numpy() == pytest.approx(only.weight.numpy())


def test_a_label_of_none_or_all_is_its_limit():
    x, labels = draw(10)
    hot = np.stack([labels == 0, np.zeros(len(x)), np.ones(len(x))], axis=1).astype(np.int64)
    fit = LogisticProblem(x, hot, 3).fit(1.0)
    assert fit.bias[1:].tolist() == [-np.inf, np.inf]
    assert fit.bias[0].isfinite()


def test_features_that_say_nothing_give_the_class_frequencies():
    labels = np.array([0, 0, 0, 1])
    fit = LogisticProblem(np.full((4, 3), 7.0, dtype=np.float32), labels, 2).fit(1.0)
    assert softmax(next(fit.scores(np.zeros((1, 3)))), axis=1)[0] == pytest.approx([0.75, 0.25])
    assert fit.converged


def test_path_starts_from_what_is_solved():
    x, labels = draw(11)
    problem = LogisticProblem(x, labels, 4)
    path = Path(problem, tolerance=1e-6, max_iterations=1000)
    for lambda_ in (100.0, 1.0, 0.01, 0.1):
        fit = path.fit(lambda_)
        assert fit.objective == pytest.approx(problem.fit(lambda_).objective, rel=1e-5)
    assert fit.iterations < problem.fit(0.1).iterations
    weight, bias = path.fits[-1].weight, path.fits[-1].bias
    assert problem.fit(0.1, (weight, bias)).iterations == 1


def test_start_of_another_problem_may_lack_a_class():
    x, labels = draw(12)
    part = labels != 3
    start = LogisticProblem(x[part], labels[part], 4).fit(1.0)
    whole = LogisticProblem(x, labels, 4)
    fit = whole.fit(1.0, (start.weight, start.bias))
    assert fit.objective == pytest.approx(whole.fit(1.0).objective, rel=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_cpu():
    x, labels = draw(13, n=500, d=30, c=8)
    for lambda_ in (1e-4, 1.0, 1e4):
        cpu, cuda = (LogisticProblem(x, labels, 8, device).fit(lambda_) for device in ("cpu", "cuda"))
        assert cuda.objective == pytest.approx(cpu.objective, rel=1e-5)
        assert torch.cat(list(cuda.scores(x))).argmax(1).tolist() == next(cpu.scores(x)).argmax(1).tolist()


@pytest.mark.parametrize("end", [1.5, 2.0, 3.0])
def test_the_minimiser_of_a_cubic_by_hand(end):
    """Of t^3 - 3 t + 2, whose derivative 3 (t^2 - 1) is zero at 1."""
    value, slope = end**3 - 3 * end + 2, 3 * (end**2 - 1)
    assert cubic_minimiser(end, 2.0, value, -3.0, slope) == pytest.approx(1.0)


def test_a_cubic_without_a_minimum_is_halved():
    assert cubic_minimiser(2.0, 0.0, -2.0, -1.0, -1.0) == 1.0  # a line that falls
