"""OneVision-Encoder's head against one of torch's own layers with the same weights, and its training step by step."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification import attentive_head, attentive_training, onevision_head
from mlcd_eval.protocols.classification.attentive_training import scores_of, train_attentive
from mlcd_eval.protocols.classification.onevision_head import ONEVISION, OneVisionHead
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.support.resident import Rows


class Reference(nn.Module):
    """A probe, torch.nn.MultiheadAttention with all of its biases, RMS norm and MLP with a residual, norm, linear."""

    def __init__(self, head, outputs):
        super().__init__()
        width = len(head.probe)
        self.probe = nn.Parameter(head.probe.detach().clone())
        self.attention = nn.MultiheadAttention(width, head.heads, batch_first=True)
        self.rms_norm = nn.RMSNorm(width)
        self.rms_norm.weight.data.copy_(head.scale.data)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, outputs)
        with torch.no_grad():
            parts = (head.query, head.key, head.value)
            self.attention.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
            biases = [head.query.bias, torch.zeros(width), head.value.bias]
            self.attention.in_proj_bias.copy_(torch.cat(biases))
        pairs = [(self.attention.out_proj, head.out), (self.up, head.mlp[0]), (self.down, head.mlp[2])]
        for own, copied in [*pairs, (self.norm, head.norm), (self.linear, head.linear)]:
            own.load_state_dict(copied.state_dict())

    def forward(self, tokens):
        probe = self.probe.repeat(len(tokens), 1, 1)
        pooled = self.attention(probe, tokens, tokens, need_weights=False)[0][:, 0]
        pooled = pooled + self.down(functional.gelu(self.up(self.rms_norm(pooled))))
        return self.linear(self.norm(pooled))


@pytest.mark.parametrize(("width", "heads"), [(32, 1), (192, 3), (768, 12)])
def test_logits_and_gradients_are_those_of_torchs_layers(width, heads):
    torch.manual_seed(0)
    head = OneVisionHead(width, 7)
    assert head.heads == heads == max(1, width // 64)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    reference, tokens = Reference(head, 7), torch.randn(5, 49, width) + 1
    logits, expected = head(tokens), reference(tokens)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    for output in (logits, expected):
        functional.cross_entropy(output, torch.arange(5)).backward()
    of_attention = reference.attention.in_proj_weight.grad.chunk(3)
    pairs = [(head.probe.grad, reference.probe.grad[: len(head.probe)])]
    pairs += [(part.weight.grad, of_attention[place]) for place, part in enumerate((head.query, head.key, head.value))]
    pairs += [(head.mlp[0].weight.grad, reference.up.weight.grad), (head.linear.bias.grad, reference.linear.bias.grad)]
    pairs += [(head.scale.grad, reference.rms_norm.weight.grad)]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_first_weights():
    torch.manual_seed(0)
    head = OneVisionHead(128, 500)
    assert head.linear.weight.std().item() == pytest.approx(2e-5, rel=0.05)
    assert head.mlp[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    bound = (6 / (128 + 3 * 128)) ** 0.5
    for part in (head.query, head.key, head.value):
        assert 0.98 * bound < part.weight.abs().max().item() <= bound
    assert all(not layer.bias.any() for layer in (head.query, head.value, head.out, head.mlp[2], head.linear))


def data(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3, 3, 16)).astype(np.float32), np.arange(count) % 3


def test_a_training_is_that_of_torchs_optimizer_and_schedule(monkeypatch):
    patches, labels = data(80)
    order, started, batches = [], [], attentive_training._batches

    def noted(*given):
        for index in batches(*given):
            order.append(index)
            yield index

    def make(*given):
        head = OneVisionHead(*given)
        started.append(Reference(head, 3))
        return head

    monkeypatch.setattr(attentive_training, "_batches", noted)
    recipe = dataclasses.replace(ONEVISION, head=make)
    head = train_attentive(recipe, Rows(patches, "cpu"), labels, 3, 1e-2, 0.05, 0, "fp32", steps=9)
    [reference] = started
    optimizer = torch.optim.AdamW(reference.parameters(), lr=1e-2, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-7 / 1e-2, 9)
    for index in order[:9]:
        logits = reference(torch.from_numpy(patches[index]).flatten(1, 2)).log_softmax(1)
        truth = torch.from_numpy(labels[index])
        loss = (0.9 * functional.nll_loss(logits, truth, reduction="none") - 0.1 * logits.mean(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    ours = torch.cat(list(scores_of(head, Rows(patches, "cpu"), "fp32")))
    torch.testing.assert_close(ours, reference(torch.from_numpy(patches).flatten(1, 2)), rtol=1e-4, atol=1e-4)
    assert ours.std() > 0.1  # it has learned something


def scored(labels_of=lambda labels: labels, dialect="onevision", **settings):
    protocol = get_protocol("attentive_probe")
    images = {}
    for role, count, seed in (("train", 90, 0), ("test", 30, 1)):
        patches, labels = data(count, seed)
        patches[np.arange(count), 0, 1, labels] += 6
        images[role] = Features(patches, [f"{role}{n}" for n in range(count)], labels_of(labels))
    given = {**protocol.dialects[dialect].settings, **settings}
    return protocol.score(protocol.Settings.model_validate(given), Inputs(images=images))


def test_the_dialect_learns():
    scores = scored(lr=1e-3)
    assert {metric.name: metric.value for metric in scores.metrics}["acc1"] > 0.9
    assert (scores.details["lr"], scores.details["weight_decay"], scores.details["recipe"]) == (1e-3, 0.0, 1)


@pytest.mark.parametrize("head", ["aim", "onevision"])
def test_several_labels_in_bf16_with_a_grid(head, monkeypatch):
    """What a grid chooses by is defined for several labels, in either precision."""
    for module, name in ((attentive_head, "AIM"), (onevision_head, "ONEVISION")):
        monkeypatch.setattr(module, name, dataclasses.replace(getattr(module, name), epochs=1, least_steps=6))
    scores = scored(lambda labels: np.eye(3, dtype=np.int64)[labels], head=head, lr=None, weight_decay=None)
    assert scores.primary == "map_11point" and len(scores.details["search"]) == 6
    assert scores.details["chosen_from"] == "search by map_11point on 18 samples"
    assert all(0 < line["score"] <= 1 for line in scores.details["search"])
