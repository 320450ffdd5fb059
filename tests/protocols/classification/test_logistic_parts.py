"""The parts of the solver of logistic regression, each against the algebra that it abbreviates, and their economy."""

import numpy as np
import pytest
import torch

from mlcd_eval.protocols.classification.logistic import LogisticProblem, Path, line, preconditioner
from mlcd_eval.protocols.classification.logistic.lbfgs import InverseHessian
from mlcd_eval.protocols.classification.logistic.line import Data, Line
from mlcd_eval.protocols.classification.logistic.line_search import search
from mlcd_eval.protocols.classification.logistic.losses import sigmoid_loss, softmax_loss


def rng(seed=0):
    return np.random.default_rng(seed)


def two_loops(pairs, matrix, gradient):
    """Nocedal & Wright, algorithm 7.4, with any initial matrix."""
    q, factors = gradient.copy(), []
    for step, change in reversed(pairs):
        factors.append(step @ q / (step @ change))
        q -= factors[-1] * change
    direction = matrix @ q
    for (step, change), factor in zip(pairs, reversed(factors), strict=True):
        direction += step * (factor - change @ direction / (step @ change))
    return -direction


def test_directions_are_those_of_the_two_loops_and_pairs_of_no_curvature_are_dropped():
    r, n = rng(1), 6
    hessian = r.normal(size=(n, n))
    hessian, matrix = hessian @ hessian.T + np.eye(n), np.diag(r.random(n) + 0.5)

    def shaped(values):
        return torch.tensor(values, dtype=torch.float32).view(2, 3)

    inverse = InverseHessian(3, torch.zeros(2, 3))
    assert inverse.full  # there is no matrix yet
    inverse.clear()
    gradient, pairs = r.normal(size=n), []
    for sign in (1, -1, 1, 1, None):
        got = inverse.direction(shaped(gradient), shaped(matrix @ gradient))
        assert got.shape == (2, 3) and inverse.full == (len(pairs) == 3)
        assert got.view(-1).numpy() == pytest.approx(two_loops(pairs, matrix, gradient), rel=1e-3, abs=1e-4)
        if sign is not None:
            step = r.normal(size=n)
            change = sign * (hessian @ step)
            inverse.append(shaped(step), shaped(change))
            gradient = gradient + change
            pairs += [(step, change)] if sign > 0 else []
    inverse.clear()
    got = inverse.direction(shaped(gradient), shaped(matrix @ gradient))
    assert got.view(-1).numpy() == pytest.approx(-matrix @ gradient, rel=1e-5)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("hard", [96, 3])
def test_the_preconditioner_inverts_each_classes_block(monkeypatch, hard, softmax):
    """Exact for the hard samples; the rest of the curvature times the variance of each component."""
    monkeypatch.setattr(preconditioner, "HARD", hard)
    n, d, c, lambda_ = 11, 4, 3, 0.7
    r = rng(2)
    x, variance, gradient = r.normal(size=(n, d)), r.random(d) + 0.5, r.normal(size=(c, d + 1))
    residual = r.uniform(-1, 1, size=(c, n))
    data = Data(torch.tensor(x, dtype=torch.float32), torch.zeros(1, n), softmax_loss, c)
    chunks = [(data.x[i : i + 4], torch.tensor(residual[:, i : i + 4], dtype=torch.float32)) for i in range(0, n, 4)]
    precondition, mass = preconditioner.preconditioner(chunks, data, torch.tensor(variance), lambda_, softmax)
    q = np.abs(residual) * (1 - np.abs(residual))
    assert mass.numpy() == pytest.approx(q.sum(axis=1), rel=1e-5)
    expected = []
    for own, slope in zip(q, gradient, strict=True):
        rows = np.argsort(-own)[:hard]
        rest = max(own.sum() - own[rows].sum(), 1e-3 * own.sum())
        root = np.sqrt(np.append(rest * variance + lambda_, rest))
        samples = np.sqrt(own[rows])[:, None] * np.column_stack([x, np.ones(n)])[rows] / root
        inner = samples @ samples.T
        damped = inner + (1 + 1e-4 * inner.diagonal().max()) * np.eye(len(rows))
        inverse = np.eye(d + 1) - samples.T @ np.linalg.inv(damped) @ samples
        expected.append(inverse @ (slope / root) / root)
    expected = np.array(expected)
    got = precondition(torch.tensor(gradient, dtype=torch.float32)).numpy()
    assert got == pytest.approx(expected - softmax * expected.mean(axis=0), rel=2e-3, abs=2e-3)


def test_a_class_whose_samples_all_fit_still_has_a_step():
    """Every residual is 0, and with it the curvature: steps are long, and numbers."""
    data = Data(torch.eye(3), torch.zeros(1, 3), softmax_loss, 2)
    precondition, mass = preconditioner.preconditioner([(data.x, torch.zeros(2, 3))], data, torch.ones(3), 0.5, False)
    assert mass.tolist() == [1e-12, 1e-12]
    assert precondition(torch.ones(2, 4))[0].tolist() == pytest.approx([2, 2, 2, 1e12], rel=1e-6)


def test_the_hard_samples_are_as_many_as_memory_has_room_for(monkeypatch):
    data = Data(torch.zeros(8, 3), torch.zeros(1, 8), softmax_loss, 2)
    residual = torch.tensor([[0.9, 0.5, 0.1, 0.2, 0.0, 0.6, 0.5, 1.0]] * 2)
    for budget, kept in ((8 * 3, [1, 6, 5]), (8 * 2, [1, 6]), (1, [1])):
        monkeypatch.setattr(preconditioner, "_BUDGET", budget)
        mass, largest, where = preconditioner._hardest([(data.x, residual)], data, 96)
        assert sorted(where[0].tolist()) == sorted(kept) or (kept == [1] and where[0].tolist() in ([1], [6]))
        assert largest[0].tolist() == pytest.approx([0.25, 0.25, 0.24][: len(kept)])
        assert mass.tolist() == pytest.approx([0.09 * 2 + 0.25 * 2 + 0.16 + 0.24] * 2, abs=1e-6)


def objective(theta, x, targets, loss, lambda_):
    logits = torch.addmm(theta[:, -1:], theta[:, :-1], x.T)
    if loss is softmax_loss:
        value = torch.nn.functional.cross_entropy(logits.T, targets[0], reduction="sum")
    else:
        value = torch.nn.functional.softplus(logits * targets).sum()
    return value + lambda_ / 2 * theta[:, :-1].square().sum()


@pytest.mark.parametrize("spare", [0, -1], ids=["kept", "anew"])
@pytest.mark.parametrize("loss", [softmax_loss, sigmoid_loss])
def test_values_slopes_and_gradients_along_a_line_by_autograd(monkeypatch, loss, spare):
    """Logits are kept where three times as many numbers fit; a pass is a product with the data and one back."""
    n, d, c, lambda_ = 10, 3, 4, 0.3
    monkeypatch.setitem(line.KEPT, "cpu", 3 * n * c + spare)
    monkeypatch.setattr(line, "LEAST_ROWS", 4)
    monkeypatch.setitem(line.CHUNK, "cpu", 5)
    torch.manual_seed(0)
    x = torch.randn(n, d)
    targets = torch.randint(c, (1, n)) if loss is softmax_loss else 1.0 - 2.0 * torch.randint(2, (c, n))
    theta, direction = torch.randn(c, d + 1, dtype=torch.float64), torch.randn(c, d + 1)
    data = Data(x, targets, loss, c)
    assert [len(rows) for rows, _ in data.chunks()] == [4, 4, 2]
    along = Line(data, theta, lambda_)

    def exact(at):
        at = at.clone().requires_grad_()
        value = objective(at, x.double(), targets, loss, lambda_)
        return value.item(), torch.autograd.grad(value, at)[0]

    value, gradient = exact(theta)
    assert along.at(0.0) == pytest.approx((value, 0.0), rel=1e-5, abs=1e-5)
    assert along.move().numpy() == pytest.approx(gradient.numpy(), abs=1e-4)
    for step in (0.4, 0.7):
        along.aim(direction)
        for trial in (1.0, step):
            value, gradient = exact(theta + trial * direction)
            slope = (gradient * direction).sum().item()
            assert along.at(trial) == pytest.approx((value, slope), rel=1e-4, abs=1e-4)
        assert along.move().numpy() == pytest.approx(gradient.numpy(), abs=1e-4)
        theta = theta + step * direction
        assert along.theta.numpy() == pytest.approx(theta.numpy(), abs=1e-6)
    assert along.passes == (3 if spare == 0 else 5)
    for rows, residual in along.residuals():
        assert residual.shape == (c, len(rows))
    whole = torch.cat([residual for _, residual in along.residuals()], dim=1)
    plain = gradient - lambda_ * torch.cat([theta[:, :-1], torch.zeros(c, 1)], dim=1)
    assert torch.cat([whole @ x, whole.sum(1, keepdim=True)], dim=1).numpy() == pytest.approx(plain.numpy(), abs=1e-4)
    along.aim(direction)
    assert along.at(0.0)[0] == pytest.approx(value, rel=1e-5)  # also after logits were computed again


@pytest.mark.parametrize(
    ("function", "first", "trials"),
    [
        (lambda t: (-t, -1.0), 0.05, [0.05, 0.2, 0.8]),  # the third that lowers the objective is taken
        (lambda t: (-t, -1.0), 0.3, [0.3, 1.0]),
        (lambda t: ((t - 0.1) ** 2, 2 * (t - 0.1)), 1.0, [1.0, 0.1]),
        (lambda t: ((t - 0.7) ** 2, 2 * (t - 0.7)), 1.0, [1.0, 0.7]),
        (lambda t: ((t - 0.75) ** 2, 2 * (t - 0.75)), 0.2, [0.2, 0.8]),  # flat enough
        (lambda t: ((t - 0.8) ** 2, 2 * (t - 0.8)), 1.0, [1.0]),
        (lambda t: ((t - 0.01) ** 2, 2 * (t - 0.01)), 1.0, [1.0, 0.05, 0.01]),  # not below a twentieth
        (lambda t: ((t - 0.5) ** 2, 2 * (t - 0.5)), 0.2, [0.2, 0.8, 0.5]),  # between two trials
        (lambda t: (5e-5 * (t == 1) - 0.1 * (0 < t < 1), 0.0), 1.0, [1.0, 1 / 3.0003]),  # flat, but no lower than at 0
        (lambda t: (1 + 5e-6 * (t == 1), 1e-9 * (t - 0.9)), 1.0, [1.0]),  # rounding hides a fall: the slope shows it
        (lambda t: (float("nan"), 1.0) if t > 0.4 else (-t, 0.1), 1.0, [1.0, 0.5, 0.25]),  # halved
    ],
)
def test_the_trials_of_a_search(function, first, trials):
    tried = []

    def at(step):
        tried.append(step)
        return function(step)

    value, slope = function(0.0)[0], -1.0 if function(0.0)[0] == 0 else function(0.0)[1]
    assert search(at, value, slope, first)[0] == tried[-1]
    assert tried == pytest.approx(trials)


def drawn(n, d, c, seed=0):
    """Features with a wide spectrum, as encoders give."""
    r = rng(seed)
    labels, scale = r.integers(c, size=n), 3.0 / np.arange(1, d + 1)
    return (r.normal(size=(c, d))[labels] * scale + r.normal(size=(n, d)) * scale).astype(np.float32), labels


@pytest.mark.parametrize("one_vs_rest", [False, True])
def test_a_fit_begins_at_the_frequencies_of_classes(one_vs_rest):
    x, labels = drawn(60, 5, 3)
    labels[:20] = 0
    problem = LogisticProblem(x, np.eye(3, dtype=np.int64)[labels] if one_vs_rest else labels, 3)
    start = problem._parameters(None)
    assert Line(problem._data, start, 1.0).at(0.0)[0] == pytest.approx(problem._chance, rel=1e-5)
    shares = np.bincount(labels) / 60
    bias = np.log(shares / (1 - shares)) if one_vs_rest else np.log(shares) - np.log(shares).mean()
    assert start[:, -1].numpy() == pytest.approx(bias) and not start[:, :-1].any()


@pytest.mark.parametrize(
    ("shape", "one_vs_rest", "passes"),
    [
        ((120, 10, 4), False, (37, 26, 11, 6)),
        ((12, 40, 3), False, (35, 14, 9, 6)),
        ((400, 30, 8), False, (40, 32, 15, 8)),
        ((120, 10, 4), True, (46, 26, 13, 6)),
    ],
)
def test_fits_take_few_passes(shape, one_vs_rest, passes):
    """A solver that is only slower gives the same results. Other processors round otherwise, and may need fewer."""
    x, labels = drawn(*shape)
    problem = LogisticProblem(x, np.eye(shape[2], dtype=np.int64)[labels] if one_vs_rest else labels, shape[2])
    taken = tuple(problem.fit(lambda_).iterations for lambda_ in (1e-4, 1e-2, 1.0, 1e2))
    for own, few in zip(taken, passes, strict=True):
        assert 0.5 * few <= own <= 1.08 * few + 1, taken


def test_a_path_takes_fewer_passes_than_its_fits_alone():
    x, labels = drawn(400, 30, 8)
    path = Path(LogisticProblem(x, labels, 8), tolerance=1e-6, max_iterations=1000)
    taken = tuple(path.fit(lambda_).iterations for lambda_ in (100.0, 1.0, 0.01, 0.1))
    assert taken == pytest.approx((8, 13, 19, 7), rel=0.08, abs=1)
