"""The losses against their formulas, the identity that links them, and their edges."""

import math

import pytest
import torch

from mlcd_train.losses import (
    additive_angular_margin,
    clip_loss,
    cluster_loss,
    logsumexp,
    mlc_loss,
    mlcd_loss,
    positive_similarity,
)


def similarities(b=5, positives=3, negatives=7, scale=4.0):
    generator = torch.Generator().manual_seed(0)
    positive = scale * torch.randn(b, positives, generator=generator, dtype=torch.float64)
    return positive, scale * torch.randn(b, negatives, generator=generator, dtype=torch.float64)


def test_the_formulas():
    positive, negative = similarities()
    a, b = (-positive).exp().sum(1), negative.exp().sum(1)
    torch.testing.assert_close(mlcd_loss(positive, negative), torch.log(1 + a) + torch.log(1 + b))
    torch.testing.assert_close(mlc_loss(positive, negative), torch.log(1 + a * b))
    torch.testing.assert_close(mlcd_loss(positive, negative), torch.log(1 + a + b + a * b))  # (1 + a)(1 + b)
    first = positive[:, :1]
    softmax = -torch.log_softmax(torch.cat([first, negative], 1), 1)[:, 0]
    torch.testing.assert_close(cluster_loss(first, negative), softmax)


def test_by_hand():
    zero = torch.zeros(1, 1)
    assert mlcd_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert mlc_loss(zero, zero).item() == pytest.approx(math.log(2))


def test_order_does_not_matter():
    positive, negative = similarities()
    for loss in (mlcd_loss, mlc_loss):
        torch.testing.assert_close(loss(positive.flip(1), negative.roll(3, 1)), loss(positive, negative))
        torch.testing.assert_close(loss(positive.flip(0), negative.flip(0)), loss(positive, negative).flip(0))


@pytest.mark.parametrize("loss", [mlcd_loss, mlc_loss])
def test_gradients(loss):
    positive, negative = (part.requires_grad_() for part in similarities())
    assert torch.autograd.gradcheck(loss, (positive, negative))


@pytest.mark.parametrize("loss", [mlcd_loss, mlc_loss])
def test_masked_entries_drop_out_with_gradient_zero(loss):
    positive, negative = similarities()
    masked_positive = torch.cat([positive, torch.full((5, 2), math.inf)], 1).requires_grad_()
    masked_negative = torch.cat([torch.full((5, 1), -math.inf), negative], 1).requires_grad_()
    value = loss(masked_positive, masked_negative)
    torch.testing.assert_close(value, loss(positive, negative))
    value.sum().backward()
    assert (masked_positive.grad[:, 3:] == 0).all() and masked_positive.grad.isfinite().all()
    assert (masked_negative.grad[:, 0] == 0).all() and masked_negative.grad.isfinite().all()


@pytest.mark.parametrize("width", [0, 3])
def test_without_negatives_or_positives(width):
    positive, negative = similarities()
    positive.requires_grad_()
    nothing = torch.full((5, width), -math.inf, dtype=torch.float64, requires_grad=True)
    only_positive = mlcd_loss(positive, nothing)
    torch.testing.assert_close(only_positive, torch.log(1 + (-positive).exp().sum(1)))
    torch.testing.assert_close(mlc_loss(positive, nothing), torch.zeros(5, dtype=torch.float64))
    only_positive.sum().backward()
    assert positive.grad.isfinite().all()
    assert nothing.grad is None or (nothing.grad == 0).all()
    torch.testing.assert_close(mlcd_loss(-nothing.detach(), negative), torch.log(1 + negative.exp().sum(1)))


def test_a_rank_that_has_drawn_no_class_is_part_of_the_graph():
    """Or backward would not call its messages, and the other ranks would wait for them."""
    none = torch.zeros(2, 0, requires_grad=True)
    total = logsumexp(none)
    assert total.tolist() == [-math.inf] * 2
    mlcd_loss(torch.ones(2, 1), none).sum().backward()
    assert none.grad.shape == (2, 0)


def test_large_similarities_do_not_overflow():
    positive, negative = similarities(scale=1000.0)
    for loss in (mlcd_loss, mlc_loss):
        value = loss(positive.float().requires_grad_(), negative.float())
        assert value.isfinite().all()
        torch.testing.assert_close(value.double(), loss(positive, negative), rtol=1e-5, atol=1e-3)


def test_bf16_inputs_are_summed_in_fp32():
    positive, negative = (part.bfloat16() for part in similarities(negatives=4000))
    for loss in (mlcd_loss, mlc_loss):
        value = loss(positive, negative)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, loss(positive.double(), negative.double()).float(), rtol=1e-5, atol=1e-5)


def test_the_margin_is_additive_in_the_angle_and_monotonic_beyond_pi():
    theta = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
    logits = additive_angular_margin(theta.cos(), 0.3, 64.0)
    inside = theta + 0.3 < math.pi - 1e-3
    torch.testing.assert_close(logits[inside], 64 * torch.cos(theta[inside] + 0.3), rtol=1e-5, atol=1e-3)
    assert (logits.diff() <= 1e-9).all()
    assert (logits[1:] < 64 * theta.cos()[1:]).all()
    torch.testing.assert_close(additive_angular_margin(theta.cos(), 0.0, 64.0), 64 * theta.cos())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_margins_gradient_is_finite_at_the_ends(dtype):
    cosine = torch.tensor([1.0, -1.0, 1 - 1e-7, 0.0], dtype=dtype, requires_grad=True)
    additive_angular_margin(cosine, 0.3, 64.0).sum().backward()
    assert cosine.grad.isfinite().all()


@pytest.mark.parametrize("loss", [mlc_loss, cluster_loss])
def test_the_exact_margin_moves_all_cosines_together(loss):
    """These losses do not change if all similarities do by the same. The margin costs most at a cosine of sin(m / 2):
    below it the exact gradient moves all cosines down together, above it up; the straight-through one nowhere."""

    def together(level, gradient):
        cosine = torch.full((1, 4), level, dtype=torch.float64, requires_grad=True)
        own = positive_similarity(cosine[:, :1], 0.3, 8.0, gradient=gradient)
        loss(own, 8 * cosine[:, 1:]).sum().backward()
        return cosine.grad.sum().item()

    top = math.sin(0.15)
    assert together(top, "exact") == pytest.approx(0, abs=1e-12)
    assert together(top - 0.1, "exact") > 0.1 and together(top + 0.1, "exact") < -0.1
    for level in (-0.9, top - 0.1, 0.8):
        assert together(level, "straight_through") == pytest.approx(0, abs=1e-12)


def test_clip_loss_is_open_clips():
    from open_clip.loss import ClipLoss

    generator = torch.Generator().manual_seed(1)
    image, text = (torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1) for _ in range(2))
    torch.testing.assert_close(clip_loss(image, text, 14.3), ClipLoss()(image, text, torch.tensor(14.3)))
