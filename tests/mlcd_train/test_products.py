"""Products of reduced numbers: their values by hand, their gradients, and what they change of clusters and labels."""

import pytest
import torch
from torch.nn.functional import normalize

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_train.assignment import nearest_centres
from mlcd_train.centres import ClassCentres
from mlcd_train.clustering import spherical_kmeans
from mlcd_train.losses import mlcd_of_sums
from mlcd_train.products import product, products_on


def rows(count, dim=64, seed=0):
    return normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_bf16_rounds_the_factors_and_not_the_sum():
    third = 171 / 512  # 1 / 3 in bf16: 1.3359375 / 4
    left = torch.full((1, 3), 1 / 3)
    assert product(left, torch.ones(1, 3), "bf16").item() == 3 * third  # 513 / 512 needs more bits than bf16 has
    assert product(left, torch.ones(1, 3), "fp32").item() == pytest.approx(1)


def test_gradients_are_products_of_the_same_kind():
    images, centres = rows(5).requires_grad_(), rows(7, seed=1).requires_grad_()
    out = product(images, centres, "bf16")
    assert out.dtype == torch.float32
    weights = torch.randn(5, 7)
    (weights * out).sum().backward()
    rounded = weights.bfloat16().double()
    torch.testing.assert_close(
        images.grad.double(), rounded @ centres.detach().bfloat16().double(), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        centres.grad.double(), rounded.T @ images.detach().bfloat16().double(), rtol=1e-5, atol=1e-6
    )


def test_tf32_is_allowed_within_a_product_only():
    seen = []
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision

    class Watched(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if function is torch.Tensor.__matmul__ or function is torch.Tensor.matmul:
                seen.append(settings.fp32_precision)
            return super().__torch_function__(function, types, args, kwargs or {})

    with exact_fp32():
        within = settings.fp32_precision
        product(rows(2).as_subclass(Watched), rows(3), "tf32")
        assert settings.fp32_precision == within
    assert set(seen) <= {"tf32"} and settings.fp32_precision == before


def test_what_auto_means():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert (products_on(cpu, "auto"), products_on(gpu, "auto")) == ("fp32", "tf32")
    assert (products_on(cpu, "bf16"), products_on(gpu, "fp32")) == ("bf16", "fp32")
    with pytest.raises(ConfigError, match="products: tf32 needs a GPU, got device cpu: expected fp32, bf16 or auto"):
        products_on(cpu, "tf32")


def test_clusters_labels_and_losses_of_bf16_are_near_those_of_fp32():
    features, centres = rows(400, seed=2), rows(50, seed=3)
    exact, _ = nearest_centres(features, centres, 4)
    near, similarity = nearest_centres(features, centres, 4, products="bf16")
    assert 0.9 < (exact == near).float().mean() < 1
    torch.testing.assert_close(similarity, (features @ centres.T).gather(1, near), rtol=0, atol=0.01)
    inertia = [
        spherical_kmeans(features, 20, torch.Generator().manual_seed(0), products=kind).inertia[-1]
        for kind in ("fp32", "bf16")
    ]
    assert inertia[1] == pytest.approx(inertia[0], rel=0.01) and inertia[0] != inertia[1]
    losses = []
    for kind in ("fp32", "bf16"):
        bank = ClassCentres(50, 64, mlcd_of_sums, ratio=0.5, products=kind)
        losses.append(float(bank.forward(features[:8], exact[:8], bank.draw(exact[:8], 0)).loss.detach()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3) and losses[0] != losses[1]
