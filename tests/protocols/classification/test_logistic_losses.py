"""Components of features, and the losses of logits."""

import numpy as np
import pytest
import torch
from protocol_inputs import rng
from sklearn.linear_model import LogisticRegression

from mlcd_eval.protocols.classification.logistic import LogisticProblem
from mlcd_eval.protocols.classification.logistic.components import principal_components
from mlcd_eval.protocols.classification.logistic.losses import sigmoid_loss, softmax_loss
from mlcd_eval.support.resident import Rows


@pytest.mark.parametrize("shape", [(30, 6), (5, 9)])
def test_principal_components_are_a_rotation(shape):
    x = (rng(0).normal(size=shape) + 10).astype(np.float32)
    x[:, -1] = x[:, 0]  # so that one direction is empty
    mean, basis, variance, rotated = principal_components(Rows(x, "cpu"))
    rank = min(shape[0] - 1, shape[1] - 1)
    assert basis.shape == (shape[1], rank) and rotated.dtype == torch.float32
    assert (basis.T @ basis).numpy() == pytest.approx(np.eye(rank), abs=1e-12)
    assert (rotated.double() @ basis.T + mean).numpy() == pytest.approx(x, abs=1e-5)
    assert rotated.double().square().mean(dim=0).numpy() == pytest.approx(variance.numpy(), rel=1e-4)


@pytest.mark.parametrize("shape", [(300, 12), (40, 60)])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_rounding_is_no_component(shape, offset):
    """Constant and repeated columns say nothing, however large they are."""
    x = (rng(1).normal(size=shape) + offset).astype(np.float32)
    x[:, -1], x[:, -2], x[:, -3] = x[:, 0], 7e5, 0
    rank = min(shape[0] - 1, shape[1] - 3)
    assert principal_components(Rows(x, "cpu"))[1].shape == (shape[1], rank)


@pytest.mark.parametrize("scale", [3e6, 1e7])
@pytest.mark.parametrize("shape", [(1000, 16), (60, 100)])
def test_a_dimension_that_dominates_hides_nothing(shape, scale):
    n, d = shape
    labels, others = rng(0).integers(3, size=(2, 1000))
    labels = labels[:n]
    x, test = (
        rng(seed).normal(size=(len(own), d)) + 2.5 * np.eye(3, d)[own] for seed, own in ((1, labels), (2, others))
    )
    theirs = LogisticRegression().fit(x, labels)
    one = np.where(np.arange(d) == d - 1, scale, 1.0)
    fit = LogisticProblem((x * one).astype(np.float32), labels, 3).fit(1.0)
    assert fit.converged and fit.weight.numpy()[:, :-1] == pytest.approx(theirs.coef_[:, :-1], abs=0.05)
    right = next(fit.scores(test * one)).argmax(dim=1).numpy() == others
    assert right.mean() == pytest.approx(theirs.score(test, others), abs=0.02)


def test_losses_and_residuals_by_autograd():
    logits = torch.tensor(rng(1).normal(size=(4, 20)) * 5)
    labels = torch.tensor(rng(2).integers(4, size=(1, 20)))
    z = logits.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(z.T, labels[0], reduction="sum")
    loss, residual = softmax_loss(logits.clone(), labels)
    assert loss.item() == pytest.approx(expected.item())
    assert residual.numpy() == pytest.approx(torch.autograd.grad(expected, z)[0].numpy())
    hot = torch.tensor(rng(3).integers(2, size=(4, 20)))
    z = logits.clone().requires_grad_()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, hot.double(), reduction="sum")
    loss, residual = sigmoid_loss(logits.clone(), 1.0 - 2.0 * hot)
    assert loss.item() == pytest.approx(expected.item())
    assert residual.numpy() == pytest.approx(torch.autograd.grad(expected, z)[0].numpy())


def test_residuals_keep_their_precision_where_the_probability_is_one():
    loss, residual = softmax_loss(torch.tensor([[30.0], [0.0], [1.0]]), torch.tensor([[0]]))
    exact = np.exp(-30.0) + np.exp(-29.0)
    assert loss.item() == pytest.approx(exact, rel=1e-5)
    assert residual[0, 0].item() == pytest.approx(-exact, rel=1e-5)  # p - 1 in float32 would be 0
    loss, residual = sigmoid_loss(torch.tensor([[30.0]]), torch.tensor([[-1.0]]))
    assert loss.item() == pytest.approx(np.exp(-30.0), rel=1e-5)
    assert residual.item() == pytest.approx(-np.exp(-30.0), rel=1e-5)


def test_logits_far_apart_are_finite():
    loss, residual = softmax_loss(torch.tensor([[0.0], [500.0]]), torch.tensor([[0]]))
    assert loss.item() == 500.0 and residual[:, 0].tolist() == [-1.0, 1.0]
