"""The attentive probe against torch's own attention, and what it learns that a mean of patches cannot show."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification import attentive_head
from mlcd_eval.protocols.classification.attentive_head import AIM, AttentiveHead, heads_of
from mlcd_eval.protocols.classification.attentive_training import scores_of, train_attentive
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.support.resident import Rows


class Reference(nn.Module):
    """Layer norm, torch.nn.MultiheadAttention of a learned query over the tokens, layer norm, linear layer."""

    def __init__(self, width, heads, outputs):
        super().__init__()
        self.before = nn.LayerNorm(width, elementwise_affine=False)
        self.query = nn.Parameter(torch.empty(width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, tokens):
        x = self.before(tokens)
        pooled, _ = self.attention(self.query.expand(len(x), 1, -1), x, x, need_weights=False)
        return self.linear(self.norm(pooled[:, 0]))


def reference_of(head):
    """A reference with the head's weights; its query's projection is the identity, and keys have a bias that softmax
    cancels."""
    width = len(head.query)
    reference = Reference(width, head.heads, head.linear.out_features)
    with torch.no_grad():
        weights = [torch.eye(width), head.key.weight, head.value.weight]
        reference.attention.in_proj_weight.copy_(torch.cat(weights))
        reference.attention.in_proj_bias.copy_(torch.cat([torch.zeros(width), torch.randn(width), head.value.bias]))
        reference.query.copy_(head.query)
    reference.attention.out_proj.load_state_dict(head.out.state_dict())
    reference.norm.load_state_dict(head.norm.state_dict())
    reference.linear.load_state_dict(head.linear.state_dict())
    return reference


@pytest.mark.parametrize(("width", "heads"), [(32, 1), (192, 3), (200, 2), (768, 12)])
def test_logits_and_gradients_are_those_of_torchs_attention(width, heads):
    torch.manual_seed(0)
    head = AttentiveHead(width, 7)
    assert head.heads == heads == heads_of(width)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
        head.query += torch.randn(width)
    reference, tokens = reference_of(head), 3 * torch.randn(5, 49, width) + 1
    logits, expected = head(tokens), reference(tokens)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    for output in (logits, expected):
        nn.functional.cross_entropy(output, torch.arange(5)).backward()
    pairs = {
        head.query: reference.query.grad,
        head.value.bias: reference.attention.in_proj_bias.grad[-width:],
        head.key.weight: reference.attention.in_proj_weight.grad[width : 2 * width],
        head.value.weight: reference.attention.in_proj_weight.grad[2 * width :],
        head.out.weight: reference.attention.out_proj.weight.grad,
        head.linear.weight: reference.linear.weight.grad,
    }
    for ours, theirs in pairs.items():
        torch.testing.assert_close(ours.grad, theirs, rtol=1e-4, atol=1e-5)


def split(count, seed, classes=3):
    """Images of 4 x 4 patches: a marked one says which class it is, two others lie, the rest are background."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    patches = rng.normal(0, 0.1, (count, 16, 8)).astype(np.float32)
    patches[..., 5] += 4
    for image, label in enumerate(labels):
        true, *false = rng.choice(16, 3, replace=False)
        patches[image, [true, *false], 5] = 0
        patches[image, true, [label, 7]] += 4
        for place, lie in zip(false, [(label + 1) % classes, (label + 2) % classes], strict=True):
            patches[image, place, [lie, 6]] += 4
    return Features(patches.reshape(count, 4, 4, 8), [f"{seed}_{n}" for n in range(count)], labels)


@pytest.fixture
def short(monkeypatch):
    """A recipe of few steps."""
    monkeypatch.setattr(attentive_head, "AIM", dataclasses.replace(AIM, least_steps=5, epochs=1))


def scored(images, **settings):
    protocol = get_protocol("attentive_probe")
    return protocol.score(protocol.Settings.model_validate(settings), Inputs(images=images))


def test_it_reads_the_patch_that_a_mean_hides():
    images = {"train": split(120, 0), "test": split(60, 1)}
    scores = scored(images, lr=1e-2, weight_decay=0.01)
    value = {metric.name: metric.value for metric in scores.metrics}
    assert value["acc1"] > 0.95
    means = {role: dataclasses.replace(each, array=each.array.mean((1, 2))) for role, each in images.items()}
    linear = get_protocol("linear_probe")
    [acc1] = [m for m in linear.score(linear.Settings(), Inputs(images=means)).metrics if m.name == "acc1"]
    assert acc1.value < 0.6


def test_the_grid_is_searched_on_held_out_rows(short):
    details = scored({"train": split(40, 0), "test": split(9, 1)}).details
    assert (details["recipe"], details["heads"], details["chosen_from"]) == (1, 1, "search by acc1 on 9 samples")
    search = {(line["lr"], line["weight_decay"]): line["score"] for line in details["search"]}
    assert list(search) == [(rate, decay) for rate in (3e-4, 1e-3, 3e-3) for decay in (0.01, 0.1)]
    assert (details["lr"], details["weight_decay"]) == max(search, key=search.get)  # the first of equal ones


def test_several_labels_per_image():
    images = {"train": split(90, 0), "test": split(30, 1)}
    several = {
        role: dataclasses.replace(each, labels=np.eye(3, dtype=np.int64)[each.labels]) for role, each in images.items()
    }
    scores = scored(several, lr=1e-2, weight_decay=0.01)
    assert scores.primary == "map_11point" and scores.metrics[0].value is not None
    [value] = [metric.value for metric in scores.metrics if metric.name == "map_11point"]
    assert value > 0.9 and scores.details["chosen_from"] == "settings"


def test_test_decides_nothing_and_val_is_learned_from(short):
    train, val, test = split(60, 0), split(30, 1), split(30, 2)
    shuffled = dataclasses.replace(test, labels=np.roll(test.labels, 1))
    settings = {"lr": 1e-3}
    one, other = (scored({"train": train, "val": val, "test": each}, **settings) for each in (test, shuffled))
    assert one.details == other.details and one.samples["prediction"] == other.samples["prediction"]
    assert one.details["num_train"] == 90 and one.details["chosen_from"] == "search by acc1 on 30 samples"


def test_the_same_seed_gives_the_same_head_whatever_state_torch_is_in():
    rows, labels = Rows(split(40, 0).array, "cpu"), split(40, 0).labels
    heads = []
    for state in (1, 2):
        torch.manual_seed(state)
        heads.append(train_attentive(AIM, rows, labels, 3, 1e-3, 0.01, 5, "fp32", steps=3))
    first, second = (torch.cat(list(scores_of(head, rows, "fp32"))) for head in heads)
    assert torch.equal(first, second)


def test_bf16_is_near_fp32():
    rows, labels = Rows(split(60, 0).array, "cpu"), split(60, 0).labels
    head = train_attentive(AIM, rows, labels, 3, 1e-3, 0.01, 0, "bf16", steps=40)
    near, exact = (torch.cat(list(scores_of(head, rows, precision))) for precision in ("bf16", "fp32"))
    assert near.dtype == torch.float32 and not torch.equal(near, exact)
    torch.testing.assert_close(near, exact, rtol=0, atol=0.05)


def test_mistakes_are_one_sentence():
    one_class = dataclasses.replace(split(9, 0), labels=np.zeros(9, np.int64))
    with pytest.raises(IncompatibleError, match="attentive_probe needs two classes to tell apart: got 9 train samples"):
        scored({"train": one_class, "test": split(9, 1)})
    broken = split(9, 0)
    broken.array[3, 1, 2, 0] = np.nan
    with pytest.raises(DataError, match="'0_3'"):
        scored({"train": broken, "test": split(9, 1)})
    with pytest.raises(ValueError, match="Input should be 'patches' or 'projected_patches'"):
        get_protocol("attentive_probe").Settings(layer="penultimate")


def test_a_metric_that_held_out_rows_leave_undefined_chooses_nothing(short):
    images = {"train": split(30, 0), "val": split(9, 1), "test": split(9, 2)}
    several = {
        role: dataclasses.replace(each, labels=np.eye(3, dtype=np.int64)[each.labels] * (role != "val"))
        for role, each in images.items()
    }
    with pytest.raises(IncompatibleError, match="cannot be chosen by map_11point: got 9 validation samples on which"):
        scored(several)
    assert scored(several, lr=1e-2, weight_decay=0.01).details["chosen_from"] == "settings"


def test_without_a_row_to_spare_the_defaults_are_used(short):
    details = scored({"train": split(3, 0), "test": split(9, 1)}).details
    assert details["chosen_from"] == "default: no class has two train samples" and "search" not in details
