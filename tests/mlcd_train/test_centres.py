"""Sampled, sharded class centres against a dense transcription, AdamW, and two processes against one."""

import pytest
import torch
from torch.nn.functional import normalize
from two_ranks import on_two_ranks

from mlcd_eval.errors import ConfigError
from mlcd_train import class_rows as module
from mlcd_train.centres import ClassCentres
from mlcd_train.losses import mlc_loss, mlc_of_sums, mlcd_loss, mlcd_of_sums

OBJECTIVES = [(mlcd_of_sums, mlcd_loss), (mlc_of_sums, mlc_loss)]


def batch(size=6, dim=8, num_classes=40, positives=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(size, dim, generator=generator)
    labels = torch.stack([torch.randperm(num_classes, generator=generator)[:positives] for _ in range(size)])
    labels[0, 0] = labels[1, 1]  # a class that two images share
    labels[2, 2] = -1
    return features, labels


def dense(features, labels, weight, sampled, loss, margin=0.3, scale=64.0):
    """Image by image, by the definition: every sampled class that is not its own positive is a negative."""
    values = []
    for row, positives in zip(features, labels, strict=True):
        positives = positives[positives >= 0]
        cosine = normalize(row, dim=0) @ normalize(weight, dim=1).T
        theta = cosine[positives].clamp(-1 + 1e-7, 1 - 1e-7).acos()
        negatives = [c for c in sampled.tolist() if c not in positives.tolist()]
        values.append(loss(scale * torch.cos(theta + margin)[None], scale * cosine[negatives][None])[0])
    return torch.stack(values).mean()


def test_shares_of_images_whose_terms_are_below_0():
    """A is log exp(-64 cos) with one positive, B is log sum exp(64 cos) over the other rows: below 0 by their signs."""
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8], [0.1, -1.0]])
    bank = ClassCentres(2, 2, mlcd_of_sums, ratio=1.0, margin=0.0, centres=torch.tensor([[1.0, 0.0], [-0.6, -0.8]]))
    labels = torch.zeros(4, 1, dtype=torch.int64)
    step = bank.forward(features, labels, bank.draw(labels, 0))
    # cosines with the positive 1, -1, 0.6, 0.1; with the negative -0.6, 0.6, -1, 0.7
    assert (step.positive_below_0, step.negative_below_0) == (0.75, 0.5)
    labels[1] = -1  # has no A, of which the mean is then of the others; both classes are its negatives
    step = bank.forward(features, labels, bank.draw(labels, 0))
    cosine = normalize(features, dim=1) @ torch.tensor([1.0, 0.0])
    assert step.positive.item() == pytest.approx(-64 * float(cosine[[0, 2, 3]].mean()), rel=1e-5)
    nothing = bank.forward(features, torch.full((4, 1), -1), bank.draw(labels, 0))
    assert nothing.positive.item() == -float("inf")


@pytest.mark.parametrize(("of_sums", "loss"), OBJECTIVES)
@pytest.mark.parametrize("ratio", [0.2, 1.0])
def test_loss_and_gradients_are_the_definitions(monkeypatch, of_sums, loss, ratio):
    monkeypatch.setattr(module, "BLOCK", 16)
    features, labels = batch()
    before = labels.clone()
    features.requires_grad_()
    bank = ClassCentres(40, 8, of_sums, ratio=ratio, seed=3, margin_gradient="exact")
    drawn = bank.draw(labels, 5)
    step = bank.forward(features, labels, drawn)
    step.loss.backward()
    weight, plain = bank.weight.clone().requires_grad_(), features.detach().clone().requires_grad_()
    expected = dense(plain, labels, weight, drawn.classes, loss)
    expected.backward()
    torch.testing.assert_close(step.loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(features.grad, plain.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(drawn.rows.grad, weight.grad[drawn.classes], rtol=1e-4, atol=1e-5)
    assert torch.equal(labels, before)
    assert set(labels[labels >= 0].tolist()) <= set(drawn.classes.tolist())
    cosine = normalize(features.detach(), dim=1) @ normalize(bank.weight, dim=1).T
    is_positive = torch.zeros(6, 40, dtype=torch.bool)
    for row, classes in enumerate(labels):
        is_positive[row, classes[classes >= 0]] = True
    sampled = torch.zeros(40, dtype=torch.bool)
    sampled[drawn.classes] = True
    assert step.positive_cosine.item() == pytest.approx(cosine[is_positive].mean().item(), abs=1e-5)
    assert step.negative_cosine.item() == pytest.approx(cosine[~is_positive & sampled].mean().item(), abs=1e-5)


def test_negatives_are_drawn_anew_and_in_number(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)
    bank = ClassCentres(1000, 2, mlcd_of_sums, ratio=0.1)
    nothing = torch.full((1, 1), -1)
    first, second = bank.draw(nothing, 1).classes, bank.draw(nothing, 2).classes
    assert len(first) == len(second) == 100
    assert torch.equal(first, bank.draw(nothing, 1).classes)
    assert not torch.equal(first, second)
    drawn = torch.bincount(torch.cat([bank.draw(nothing, step).classes for step in range(300)]), minlength=1000)
    assert drawn.min() > 10 and drawn.max() < 55  # binomial(300, 0.1): mean 30, deviation 5.2


def test_positives_may_count_towards_the_ratio(monkeypatch):
    """PartialFC's rule (insightface's partial_fc_v2.py `sample`): positives first, then others up to the number."""
    monkeypatch.setattr(module, "BLOCK", 100)
    bank = ClassCentres(300, 2, mlcd_of_sums, ratio=0.1, positives_count=True)
    positives = torch.tensor([[0, 1, 2, 150], [2, 151, -1, -1]])
    drawn = bank.draw(positives, 1)
    assert [int(((drawn.classes // 100) == block).sum()) for block in range(3)] == [10, 10, 10]
    assert {0, 1, 2, 150, 151} <= set(drawn.classes.tolist())
    assert drawn.classes[~drawn.at_random].tolist() == [0, 1, 2, 150, 151]
    many = bank.draw(torch.arange(40)[None], 1)  # more positives than the block's share: nothing is drawn there
    assert many.classes[many.classes < 100].tolist() == list(range(40))


@pytest.mark.parametrize(("of_sums", "loss"), OBJECTIVES)
def test_other_images_positives_need_not_be_negatives(of_sums, loss):
    features, labels = batch()
    bank = ClassCentres(40, 8, of_sums, ratio=0.2, seed=3, drawn_only=True)
    drawn = bank.draw(labels, 5)
    at_random = set(drawn.classes[drawn.at_random].tolist())
    assert len(at_random) == 8 and len(drawn.classes) > 8
    step = bank.forward(features, labels, drawn)
    expected = dense(features, labels, bank.weight, drawn.classes[drawn.at_random], loss)
    torch.testing.assert_close(step.loss, expected, rtol=1e-5, atol=1e-5)
    cosine = normalize(features, dim=1) @ normalize(bank.weight, dim=1).T
    pairs = [cosine[i, c] for i, own in enumerate(labels.tolist()) for c in sorted(at_random - set(own))]
    assert step.negative_cosine.item() == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-6)


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_with_every_row_drawn_the_optimizer_is_adamw(weight_decay):
    features, labels = batch()
    bank = ClassCentres(40, 8, mlcd_of_sums, ratio=1.0)
    weight = torch.nn.Parameter(bank.weight.clone())
    reference = torch.optim.AdamW([weight], lr=0.01, weight_decay=weight_decay)
    for number in range(5):
        drawn = bank.draw(labels, number)
        step = bank.forward(features, labels, drawn)
        step.loss.backward()
        weight.grad = drawn.rows.grad.clone()
        reference.step()
        bank.update(drawn, lr=0.01, weight_decay=weight_decay)
        torch.testing.assert_close(bank.weight, weight.data, rtol=1e-5, atol=1e-6)


def test_parts_of_a_batch_add_up_to_the_whole():
    features, labels = batch()
    whole, parts = (ClassCentres(40, 8, mlcd_of_sums, ratio=0.2) for _ in range(2))
    features.requires_grad_()
    drawn = whole.draw(labels, 1)
    loss = whole.forward(features, labels, drawn).loss
    loss.backward()
    expected, features.grad = features.grad, None
    accumulated = parts.draw(labels, 1)
    for part in (slice(0, 3), slice(3, 6)):
        (parts.forward(features[part], labels[part], accumulated).loss / 2).backward()
    torch.testing.assert_close(features.grad, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(accumulated.rows.grad, drawn.rows.grad, rtol=1e-4, atol=1e-4)
    accumulated.rows.grad = 1024 * drawn.rows.grad
    parts.update(accumulated, lr=0.1, grad_scale=1024.0)
    whole.update(drawn, lr=0.1)
    torch.testing.assert_close(parts.weight, whole.weight)


def test_rows_that_are_not_drawn_keep_weight_and_moments():
    features, labels = batch()
    bank = ClassCentres(400, 8, mlcd_of_sums, ratio=0.1)
    before = bank.weight.clone()
    drawn = bank.draw(labels, 0)
    step = bank.forward(features, labels, drawn)
    step.loss.backward()
    bank.update(drawn, lr=0.1, weight_decay=0.5)
    others = torch.ones(400, dtype=torch.bool)
    others[drawn.classes] = False
    assert torch.equal(bank.weight[others], before[others])
    assert (bank.exp_avg[others] == 0).all() and (bank.steps[others] == 0).all()
    assert (bank.weight[~others] != before[~others]).any(dim=1).all()


def test_training_pulls_positives_closer_than_negatives():
    features, labels = batch(size=32, num_classes=200)
    bank = ClassCentres(200, 8, mlcd_of_sums, ratio=0.5)
    for number in range(60):
        drawn = bank.draw(labels, number)
        step = bank.forward(features, labels, drawn)
        step.loss.backward()
        bank.update(drawn, lr=0.02)
    assert step.positive_cosine > 0.5 > step.negative_cosine + 0.3


def test_start_and_mistakes():
    centroids = torch.randn(20, 4)
    bank = ClassCentres(20, 4, mlcd_of_sums, centres=centroids)
    assert torch.equal(bank.weight, centroids)
    assert bank.weight.data_ptr() != centroids.data_ptr()  # training changes the bank's own copy
    drawn = ClassCentres(20_000, 4, mlcd_of_sums).weight
    assert drawn.std().item() == pytest.approx(0.01, rel=0.02)
    for ratio in (0.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=r"expected a number in \(0, 1\]"):
            ClassCentres(20, 4, mlcd_of_sums, ratio=ratio)


def test_what_a_seed_draws_stays_what_it_was():
    """Else no training can be repeated: the negatives of a step, and the centres that are started from."""
    none = torch.full((1, 1), -1)
    bank = ClassCentres(40, 4, mlcd_of_sums, ratio=0.2, seed=3)
    assert bank.draw(none, 0).classes.tolist() == [0, 3, 6, 16, 21, 22, 27, 35]
    assert bank.draw(none, 5).classes.tolist() == [2, 5, 11, 20, 21, 24, 26, 29]
    assert bank.weight[0].tolist() == pytest.approx([0.015415, 0.019565, -0.003265, 0.007368], abs=1e-6)
    other = ClassCentres(40, 4, mlcd_of_sums, ratio=0.2, seed=5)
    assert other.draw(none, 3).classes.tolist() == [1, 2, 4, 7, 18, 23, 25, 28]


def test_every_rank_needs_a_class(monkeypatch):
    monkeypatch.setattr(module, "world_size", lambda: 3)
    assert len(ClassCentres(3, 4, mlcd_of_sums).weight) == 1
    with pytest.raises(ConfigError, match=r"^fit: got 2 classes on 3 ranks, expected at least one per rank$"):
        ClassCentres(2, 4, mlcd_of_sums)


def _rank(rank, port, results):
    module.BLOCK = 16
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    features, labels = batch()
    mine = slice(3 * rank, 3 * rank + 3)
    part = features[mine].clone().requires_grad_()
    bank = ClassCentres(41, 8, mlcd_of_sums, ratio=0.3, seed=3)
    losses = []
    for number in range(3):
        drawn = bank.draw(labels[mine], number)
        step = bank.forward(part, labels[mine], drawn)
        part.grad = None
        step.loss.backward()
        bank.update(drawn, lr=0.05, weight_decay=0.1)
        losses.append((step.loss.item(), step.positive_cosine.item(), step.negative_cosine.item()))
    results.put((rank, losses, part.grad.numpy().copy(), bank.weight.numpy().copy()))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_compute_what_one_does(monkeypatch, unused_port):
    by_rank = {rank: rest for rank, *rest in on_two_ranks(_rank, unused_port)}
    monkeypatch.setattr(module, "BLOCK", 16)
    features, labels = batch()
    features.requires_grad_()
    bank = ClassCentres(41, 8, mlcd_of_sums, ratio=0.3, seed=3)
    for number in range(3):
        drawn = bank.draw(labels, number)
        step = bank.forward(features, labels, drawn)
        features.grad = None
        step.loss.backward()
        bank.update(drawn, lr=0.05, weight_decay=0.1)
        for rank in (0, 1):
            expected = (step.loss.item(), step.positive_cosine.item(), step.negative_cosine.item())
            assert by_rank[rank][0][number] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    gradients = torch.cat([torch.tensor(by_rank[rank][1]) for rank in (0, 1)]) / 2  # DDP's mean over ranks
    torch.testing.assert_close(gradients, features.grad, rtol=1e-4, atol=1e-5)
    weights = torch.cat([torch.tensor(by_rank[rank][2]) for rank in (0, 1)])
    torch.testing.assert_close(weights, bank.weight, rtol=1e-4, atol=1e-5)


def _rank_with_nan(rank, port, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    features, labels = batch()
    losses = []
    for nan_rank, place in ((0, "centre"), (1, "centre"), (0, "image"), (1, "image")):
        bank, part = ClassCentres(40, 8, mlcd_of_sums, ratio=1.0), features[3 * rank : 3 * rank + 3].clone()
        if rank == nan_rank:
            (bank.weight if place == "centre" else part)[1] = torch.nan
        part_labels = labels[3 * rank : 3 * rank + 3]
        losses.append(bank.forward(part, part_labels, bank.draw(part_labels, 0)).loss.item())
    results.put(losses)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_nan_on_one_rank_is_nan_on_all(unused_port):
    losses = torch.tensor(on_two_ranks(_rank_with_nan, unused_port))
    assert losses.isnan().all()
