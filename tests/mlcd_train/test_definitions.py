"""Objectives over classes at 40 random configurations: loss and gradients against float64 code without autograd."""

import math
import random

import float64_reference as reference
import pytest
import torch

from mlcd_train import class_rows as module
from mlcd_train.centres import ClassCentres
from mlcd_train.class_rows import ClassRows
from mlcd_train.losses import mlc_of_sums, mlcd_of_sums, sigmoid_contrast_loss
from mlcd_train.objectives.discrimination import Cluster, ClusterDiscrimination, Mlc, Mlcd
from mlcd_train.objectives.heads import SeveralHeads
from mlcd_train.objectives.multi_sigmoid import MultiSigmoid, SigmoidPerClass
from mlcd_train.objectives.multi_softmax import SoftmaxPerLabel
from mlcd_train.objectives.superclass import SuperClass, WeightedSoftmax, inverse_document_frequency

LARGEST = 2e-6


def configuration(seed):
    """Sizes, features, labels of different number (padded by -1), and settings."""
    chance = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    images, dim, classes = chance.randint(1, 7), chance.choice([2, 5, 16]), chance.randint(6, 60)
    most = chance.randint(1, 5)
    labels = torch.stack([torch.randperm(classes, generator=generator)[:most] for _ in range(images)])
    for row in labels:
        row[chance.randint(1, most) :] = -1
    features = torch.randn(images, dim, generator=generator)
    rows = torch.randn(classes, dim, generator=generator)
    rows[labels[0, 0]] = features[0] + 0.3 * torch.randn(dim, generator=generator)  # some cosines are large
    settings = {
        "margin": chance.choice([0.0, 0.1, 0.3, 0.5]),
        "scale": chance.choice([1.0, 8.0, 32.0, 64.0]),
        "margin_kind": chance.choice(["angular", "cosine"]),
        "margin_gradient": chance.choice(["exact", "straight_through"]),
        "threshold": chance.choice([None, 0.2, 0.75]),
        "filtered": chance.choice(["left_out", "zero"]),
        "positives_count": chance.random() < 0.5,
        "ratio": chance.choice([0.1, 0.5, 1.0]),
        "seed": seed,
    }
    return features, rows, labels, settings


def expected(features, rows, labels, pools, loss, settings):
    names = {"margin_kind": "kind", "margin_gradient": "gradient"}
    own = [[c for c in row if c >= 0] for row in labels.tolist()]
    chosen = {names.get(key, key): settings[key] for key in settings if key not in ("positives_count", "ratio", "seed")}
    return reference.cluster_losses(features.numpy(), rows.numpy(), own, pools, loss, **chosen)


def assert_close(ours, theirs):
    """Relative to the loss, and to the gradients' norms, or to 1 where these are smaller."""
    assert abs(float(ours[0]) - theirs[0]) <= LARGEST * max(1.0, abs(theirs[0]))
    for grad, exact in zip(ours[1:], theirs[1:], strict=True):
        exact = torch.from_numpy(exact)
        assert (grad.double() - exact).norm() <= LARGEST * max(float(exact.norm()), 1.0)


def bank_of(rows, of_sums, settings):
    return ClassCentres(*rows.shape, of_sums, centres=rows, **settings)


def with_gradients(features, drawn, loss):
    loss.backward()
    whole = torch.zeros(int(drawn.classes.max()) + 1, drawn.rows.shape[1])
    whole[drawn.classes] = drawn.rows.grad
    return loss.detach(), features.grad, whole


@pytest.mark.parametrize("name", ["mlcd", "mlc", "cluster"])
@pytest.mark.parametrize("seed", range(40))
def test_discrimination(monkeypatch, seed, name):
    """The last has one label per image, and a softmax of it to be compared with."""
    monkeypatch.setattr(module, "BLOCK", 16)
    features, rows, labels, settings = configuration(seed)
    labels = labels[:, :1] if name == "cluster" else labels
    bank = bank_of(rows, {"mlcd": Mlcd, "mlc": Mlc, "cluster": Cluster}[name].of_sums, settings)
    drawn, x = bank.draw(labels, seed), features.clone().requires_grad_()
    ours = with_gradients(x, drawn, bank.forward(x, labels, drawn).loss)
    pool = drawn.classes.tolist()
    pools, loss = ([pool] if name == "cluster" else pool), {"cluster": "softmax"}.get(name, name)
    theirs = expected(features, rows, labels, [pools] * len(features), loss, settings)
    assert_close(ours, (*theirs[:2], theirs[2][: len(ours[2])]))


@pytest.mark.parametrize("seed", range(40))
def test_discrimination_by_a_share_of_the_dimensions(monkeypatch, seed):
    """UNICOM's code (partial_fc.py): features and centres are cut to the same dimensions, then made unit. The others
    have no gradient; another step draws others."""
    monkeypatch.setattr(module, "BLOCK", 16)
    features, rows, labels, settings = configuration(seed)
    features, rows = (torch.cat([each, each.flip(1).roll(1, 1) + 0.1], dim=1) for each in (features, rows))
    bank = bank_of(rows, mlc_of_sums, settings | {"feature_share": 0.5})
    drawn, x = bank.draw(labels, seed), features.clone().requires_grad_()
    kept, dim = drawn.dimensions, features.shape[1]
    assert len(kept) == dim // 2 and kept.tolist() == sorted(set(kept.tolist()))
    assert {tuple(bank.draw(labels, step).dimensions.tolist()) for step in range(20)} != {tuple(kept.tolist())}
    loss, *grads = with_gradients(x, drawn, bank.forward(x, labels, drawn).loss)
    pools = [drawn.classes.tolist()] * len(features)
    theirs = expected(features[:, kept], rows[:, kept], labels, pools, "mlc", settings)
    assert_close((loss, *(grad[:, kept] for grad in grads)), (*theirs[:2], theirs[2][: len(grads[1])]))
    others = [d for d in range(dim) if d not in kept.tolist()]
    assert all((grad[:, others] == 0).all() for grad in grads)


@pytest.mark.parametrize("seed", range(40))
def test_the_weighted_sum_of_two_heads(seed):
    """Loss, and gradients of the features and of both heads' rows; MLCD and MLC over classes of their own."""
    features = None
    heads, theirs, weights = {}, [], {"a": 0.25 + seed / 40, "b": 2.0 - seed / 40}
    for name, loss, of_sums in (("a", "mlcd", mlcd_of_sums), ("b", "mlc", mlc_of_sums)):
        own, rows, labels, settings = configuration(seed if name == "a" else seed + 1000)
        features = own if features is None else features
        labels = labels[torch.arange(len(features)) % len(labels)]
        rows = rows[:, torch.arange(features.shape[1]) % rows.shape[1]]
        head = ClusterDiscrimination(torch.nn.Module(), bank_of(rows, of_sums, settings), None, 1.0)
        head._coming = head.chosen(labels, seed)
        pools = [head._coming[1].classes.tolist()] * len(features)
        heads[name] = head
        theirs.append(expected(features, rows, labels, pools, loss, settings))
    both = SeveralHeads(torch.nn.Module(), heads, weights)
    both.begin(1)
    x = features.clone().requires_grad_()
    loss, terms = both.part(x, 0)
    loss.backward()
    total = sum(weight * float(of_head[0]) for weight, of_head in zip(weights.values(), theirs, strict=True))
    assert abs(float(loss.detach()) - total) <= LARGEST * max(1.0, abs(total))
    assert {"loss", "a/loss", "b/loss", "a/positive_cosine"} <= set(terms)
    pairs = list(zip(weights.values(), theirs, strict=True))
    wanted = [sum(weight * torch.from_numpy(of_head[1]) for weight, of_head in pairs)]
    got = [x.grad]
    for head, (weight, of_head) in zip(heads.values(), pairs, strict=True):
        wanted.append(weight * torch.from_numpy(of_head[2])[head._drawn.classes])
        got.append(head._drawn.rows.grad)
    for ours, exact in zip(got, wanted, strict=True):
        assert (ours.double() - exact).norm() <= LARGEST * max(float(exact.norm()), 1.0)


@pytest.mark.parametrize("seed", range(40))
def test_multi_softmax(monkeypatch, seed):
    """Each label of the subset against the classes of its own draw; an image has as many terms as labels."""
    monkeypatch.setattr(module, "BLOCK", 16)
    features, rows, labels, settings = configuration(seed)
    subset = 1 + seed % labels.shape[1]
    objective = SoftmaxPerLabel.__new__(SoftmaxPerLabel)
    objective._centres, objective._subset = bank_of(rows, mlc_of_sums, settings), subset
    chosen, classes = objective.chosen(labels, seed)
    assert chosen.shape == (len(labels), subset)
    for own, taken in zip(labels.tolist(), chosen.tolist(), strict=True):
        real = [c for c in own if c >= 0]
        assert len({c for c in taken if c >= 0}) == min(subset, len(real)) and set(taken) <= {*real, -1}
    drawn, x = objective._centres.read(classes), features.clone().requires_grad_()
    ours = with_gradients(x, drawn, objective.compare(x, chosen, drawn)[0])
    pools = [[drawn.classes[members].tolist() for members in drawn.by_label] for _ in features]
    of_labels = []
    for row, of_image in zip(chosen.tolist(), pools, strict=True):
        of_labels.append([pool for c, pool in zip(row, of_image, strict=True) if c >= 0])
    theirs = expected(features, rows, chosen, of_labels, "softmax", settings)
    assert_close(ours, (*theirs[:2], theirs[2][: len(ours[2])]))


def per_class(monkeypatch, seed, linear):
    """Features, rows (with biases), labels, the drawn classes and those in use for each image, whose own are always."""
    monkeypatch.setattr(module, "BLOCK", 16)
    features, rows, labels, settings = configuration(seed)
    if linear:
        rows = torch.cat([rows, torch.randn(len(rows), 1, generator=torch.Generator().manual_seed(seed))], dim=1)
    kept = {key: settings[key] for key in ("positives_count", "ratio", "seed")}
    bank = ClassRows(len(rows), features.shape[1], centres=rows, linear=linear, **kept)
    own = [[c for c in row if c >= 0] for row in labels.tolist()]
    drawn = bank.draw(labels, seed)
    drawn_only = seed % 3 == 0
    at_random = drawn.classes[drawn.at_random] if drawn_only else drawn.classes
    pools = [sorted({*at_random.tolist(), *of_image}) for of_image in own]
    chosen = {"batch_positives": "drawn_only" if drawn_only else "negatives"}
    return features, rows, labels, own, bank, drawn, pools, chosen


@pytest.mark.parametrize("logits", ["cosine", "linear"])
@pytest.mark.parametrize("seed", range(40))
def test_multi_sigmoid(monkeypatch, seed, logits):
    features, rows, labels, own, bank, drawn, pools, chosen = per_class(monkeypatch, seed, logits == "linear")
    over = ("sum", "mean")[seed % 2]
    objective = SigmoidPerClass(torch.nn.Module(), bank, None, MultiSigmoid(logits=logits, over_classes=over, **chosen))
    x, share = features.clone().requires_grad_(), 1 / len(features)
    ours = with_gradients(x, drawn, objective.compare(x, labels, drawn)[0])
    share = share / len(drawn.classes) if over == "mean" else share
    learned = [parameter for _, parameter in objective.parameters]
    given = (10.0, -10.0) if learned else ()
    theirs = reference.sigmoid_per_class(features.numpy(), rows.numpy(), own, pools, share, *given)
    grads = [parameter.grad for parameter in learned]
    assert_close((*ours, *grads), (*theirs[:2], theirs[2][: len(ours[2])], *theirs[3 : 3 + len(grads)]))


@pytest.mark.parametrize("seed", range(40))
def test_superclass(monkeypatch, seed):
    features, rows, labels, own, bank, drawn, pools, chosen = per_class(monkeypatch, seed, True)
    weights = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed))
    weights[own[0]] = 0.0
    objective = WeightedSoftmax(torch.nn.Module(), bank, None, SuperClass(**chosen), weights)
    x = features.clone().requires_grad_()
    ours = with_gradients(x, drawn, objective.compare(x, labels, drawn)[0])
    theirs = reference.weighted_softmax(features.numpy(), rows.numpy(), own, pools, weights.double().tolist())
    assert_close(ours, (*theirs[:2], theirs[2][: len(ours[2])]))


def test_rare_classes_weigh_more():
    """log(N / (1 + n)) of 8 images, none below 0: n = 0, 1, 3, 7 and 8."""
    weights = inverse_document_frequency(torch.tensor([0, 1, 3, 7, 8]), 8)
    torch.testing.assert_close(weights, torch.tensor([math.log(8), math.log(4), math.log(2), 0.0, 0.0]))


@pytest.mark.parametrize("seed", range(40))
def test_sigmoid_contrast(seed):
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    size = (chance.randint(1, 12), chance.choice([2, 5, 16]))
    image, text = (torch.randn(size, generator=generator).requires_grad_() for _ in range(2))
    log_factor, bias = (torch.tensor(chance.uniform(*span), requires_grad=True) for span in ((0.0, 4.0), (-12.0, 2.0)))
    unit_image, unit_text = (torch.nn.functional.normalize(side, dim=1) for side in (image, text))
    loss = sigmoid_contrast_loss(unit_image, unit_text, log_factor.exp(), bias)
    halves = [slice(0, size[0] // 2 or 1), slice(size[0] // 2 or 1, size[0])]
    parts = [
        (here.stop - here.start)
        * sigmoid_contrast_loss(unit_image[here], unit_text[here], log_factor.exp(), bias, unit_text, here.start)
        for here in halves
        if here.stop > here.start
    ]
    torch.testing.assert_close(sum(parts) / size[0], loss)
    loss.backward()
    sides = [side.detach().numpy() for side in (image, text)]
    theirs = reference.sigmoid_contrast(*sides, math.exp(log_factor.item()), bias.item())
    assert_close((loss.detach(), image.grad, text.grad, log_factor.grad, bias.grad), theirs)
