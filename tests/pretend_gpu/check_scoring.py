"""Scoring on the pretend device: the CPU's results, features uploaded once, the counts of benchmarks/gpu_plan.py."""

import numpy as np
import pytest
import torch

from benchmarks import gpu_plan
from mlcd_eval.data.split import stratified_split
from mlcd_eval.encoders.base import PENULTIMATE, EncoderInfo
from mlcd_eval.features.forward import Forward
from mlcd_eval.metrics.retrieval import retrieval_ranks
from mlcd_eval.metrics.search import Links, compare
from mlcd_eval.protocols.classification import knn
from mlcd_eval.protocols.classification.probe_training import TrainingSet, train_probe
from mlcd_eval.protocols.classification.sweep import sweep_of
from mlcd_eval.protocols.shared.unit import unit
from mlcd_eval.support import resident
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_eval.support.determinism import deterministic
from mlcd_eval.support.resident import Rows
from mlcd_train.assignment import nearest_centres
from mlcd_train.clustering import spherical_kmeans
from pretend_gpu.device import PretendCuda


def features(rows, dim, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    centres = np.random.default_rng(9).normal(size=(classes, dim))
    return (centres[labels] + 1.5 * rng.normal(size=(rows, dim))).astype(np.float32), labels


def within(counted, planned, least=0.5):
    """The plan is an upper bound, and not an idle one."""
    assert least * planned <= counted <= planned, f"counted {counted:,}, planned {planned:,.0f}"


def test_the_sweep_of_imagenet_is_planned_within_bounds():
    assert max(cost.peak for cost in gpu_plan.IMAGENET.values()) < 25e9
    assert sum(cost.seconds for cost in gpu_plan.IMAGENET.values()) < 120


@pytest.fixture(params=["fits", pytest.param("does not fit", marks=pytest.mark.slow)])
def room(request, monkeypatch):
    """Whether features may stay on the device."""
    if request.param != "fits":
        monkeypatch.setattr(resident, "SHARE", 0.0)
    return request.param == "fits"


def test_places_of_what_queries_look_for(room):
    (queries, _), (gallery, _) = features(9, 8), features(50, 8, seed=1)
    links = Links(np.array([0, 0, 3, 8]), np.array([1, 4, 7, 2]))

    def compared(device):
        return compare(Rows(queries, device, unit), Rows(gallery, device, unit), links, all_queries=True)

    expected = compared("cpu")
    with PretendCuda()():
        found = compared("cuda")
    assert (found.nearest == expected.nearest).all() and (found.at_least == expected.at_least).all()


def test_knn(monkeypatch, room):
    (train, _), (test, _) = features(700, 48), features(90, 48, seed=1)
    monkeypatch.setattr(knn, "_TILE", {"cpu": (32, 256), "cuda": (32, 256)})
    expected = knn.nearest(train, test, 20)
    with PretendCuda()() as ledger:
        assert all(np.array_equal(*pair) for pair in zip(knn.nearest(train, test, 20, "cuda"), expected, strict=True))
    plan = gpu_plan.knn(700, 90, 48, 20, (32, 256))
    again = 192 + (0 if room else 2 * test.nbytes)  # the first row, by which room is reckoned
    assert ledger.total("uploaded", "resident") == plan.uploaded + again
    assert ledger.total("repeated") == 0 or not room
    if room:
        within(ledger.flops["float32"], 1.1 * plan.fp32, 0.9)  # padding
        within(ledger.peak, plan.peak, 0.4)
        within(ledger.traffic, plan.traffic, 0.2)
    assert ledger.total("waits") <= 2 * 9 + 2  # of each pair of tiles, and the results


def test_the_probe(room):
    x, y = features(300, 24, 6)
    data = TrainingSet(x, y, *stratified_split(y, 0.2, np.random.default_rng(0)))

    def train(device):
        return train_probe(data, 6, "acc1", sweep_of("clip", binary=False), None, 1000, 1e-6, device)

    expected = train("cpu")
    with PretendCuda()() as ledger:
        probe = train("cuda")
        assert probe.details["lambda"] == expected.details["lambda"]
        assert probe.details["objective"] == pytest.approx(expected.details["objective"], rel=1e-5)
        assert [fit["score"] for fit in probe.details["search"]] == [fit["score"] for fit in expected.details["search"]]
        del probe
    assert ledger.total("downloaded", "classification.py") < 30 * 2 * 8 * len(data.val_rows)  # never logits
    fits = expected.details["search"]
    passes = (sum(fit["iterations"] for fit in fits) * 0.8 + expected.details["iterations"]) / (0.8 * len(fits) + 1)
    plan = gpu_plan.linear_probe(300, 24, 6, len(fits), passes)
    if room:
        assert ledger.total("uploaded", "resident") <= 1.1 * plan.uploaded  # and the rows of each part, int64
        assert ledger.total("repeated", "resident", "components") == 0
        within(ledger.peak, plan.peak, 0.4)
    within(ledger.traffic, 20 * plan.traffic, 0.01)  # small parts dominate at this size


def test_the_products_of_a_fit_are_those_of_the_plan():
    from mlcd_eval.protocols.classification.logistic import LogisticProblem

    x, y = features(3000, 32, 40)
    with PretendCuda()() as ledger:
        problem = LogisticProblem(x, y, 40, "cuda")
        before, traffic = ledger.flops["float32"], ledger.traffic
        fit = problem.fit(1.0)
        flops, traffic = ledger.flops["float32"] - before, ledger.traffic - traffic
        assert fit.converged
        within(ledger.peak, gpu_plan.linear_probe(3000, 32, 40).peak, 0.3)
    assert 4 * 3000 * 32 * 40 * fit.iterations * 0.9 < flops
    one = gpu_plan.linear_probe(3000, 32, 40, 0, fit.iterations)
    hard_samples = 2 * 40 * 96 * 96 * 33 * 4 * 3  # by class, of the preconditioner: nothing at ImageNet's size
    within(flops, one.fp32 + hard_samples, 0.3)
    within(traffic, one.traffic + 60e6, 0.2)


def test_retrieval(room):
    torch.manual_seed(0)
    image, text = torch.randn(60, 40), torch.randn(150, 40)
    text += 2 * image[torch.arange(150) % 60]
    image, text = image.numpy(), text.numpy()

    def run(device):
        of = torch.tensor(np.arange(150) % 60, device=device)
        return retrieval_ranks(Rows(image, device, unit), Rows(text, device, unit), of, 64)

    expected = run("cpu")
    with PretendCuda()() as ledger:
        assert all(np.array_equal(*pair) for pair in zip(run("cuda"), expected, strict=True))
    plan = gpu_plan.retrieval(60, 150, 40, 64)
    others = 2 * 40 * 4 + 150 * 8  # the first rows, by which room is reckoned, and the number of each caption's image
    if room:
        within(ledger.peak, plan.peak, 0.3)
        assert ledger.total("uploaded", "resident") == plan.uploaded + others
        assert ledger.total("repeated") <= 150 * 8
    else:
        assert ledger.peak < plan.peak
    within(ledger.flops["float32"], plan.fp32, 0.9)
    assert ledger.total("waits") <= 8 + 2 * 3 * 3


@pytest.mark.parametrize("setting", ["cuda.matmul.fp32_precision", "fp32_precision"])
def test_tf32_that_a_user_allows_changes_no_score(setting):
    (train, _), (test, _) = features(300, 32), features(40, 32, seed=1)
    image, text = (torch.nn.functional.normalize(torch.randn(70, 16), dim=1) for _ in range(2))

    def scores(device):
        return (
            knn.nearest(train, test, 10, device),
            retrieval_ranks(image.to(device), text.to(device), torch.arange(70, device=device)),
            spherical_kmeans(train, 7, torch.Generator().manual_seed(0), device=device).assignment.tolist(),
            nearest_centres(train, torch.eye(32, device=device)[:9], 3)[1].tolist(),
        )

    expected = scores("cpu")
    holder, _, name = f"torch.backends.{setting}".rpartition(".")
    holder = eval(holder)
    setattr(holder, name, "tf32")
    try:
        with PretendCuda(tf32=True)(), exact_fp32():
            measured = scores("cuda")
        assert getattr(holder, name) == "tf32"
    finally:
        setattr(holder, name, "none")
    for mine, theirs in zip(measured, expected, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("options", [{}, {"batch": 100}, {"start": "k-means++"}])
def test_kmeans(options, room):
    x, _ = features(500, 24, 9)

    def cluster(device):
        generator = torch.Generator().manual_seed(0)
        return spherical_kmeans(x, 9, generator, iterations=6, tolerance=-1, device=device, **options)

    expected = cluster("cpu")
    with PretendCuda()() as ledger:
        clusters = cluster("cuda")
        torch.testing.assert_close(clusters.centres.cpu(), expected.centres)
        assert torch.equal(clusters.assignment.cpu(), expected.assignment)
        del clusters
    if room:
        plan = gpu_plan.kmeans(500, 24, 9, 6)
        assert ledger.total("uploaded", "resident") < plan.uploaded + 8 * 500 * 8  # and indices of batches
        assert ledger.total("repeated", "resident") == 0
        assert ledger.peak < plan.peak + 8 * 500 * 24  # of the upload


def test_kmeans_sums_in_a_fixed_order_if_asked():
    x, _ = features(400, 16, 6)
    centres, unordered = [], []
    for wanted in (False, True):
        with PretendCuda()() as ledger, deterministic(wanted):
            clusters = spherical_kmeans(x, 6, torch.Generator().manual_seed(0), device="cuda")
            centres.append(clusters.centres.cpu())
            unordered.append(ledger.total("unordered"))
            del clusters
    assert torch.equal(*centres)
    assert unordered[0] > 0 == unordered[1]


class Seen:
    """An encoder that records cuDNN's settings."""

    device = torch.device("cuda", 0)
    info = EncoderInfo("seen", "seen", "0" * 64, "none", {PENULTIMATE: 3}, (8, 8), 0, False)

    def __init__(self):
        self.settings = []

    def encode_images(self, pixels, layers):
        self.settings.append((torch.backends.cudnn.enabled, torch.backends.cudnn.conv.fp32_precision))
        return {PENULTIMATE: pixels.mean((2, 3))}


def test_fp32_features_keep_cudnn_but_not_tf32(gpu):
    encoder = Seen()
    for precision in ("fp32", "bf16"):
        Forward(encoder, precision, 4).images(torch.rand(2, 3, 4, 4), [PENULTIMATE])
    assert encoder.settings == [(True, "none"), (True, "tf32")]
