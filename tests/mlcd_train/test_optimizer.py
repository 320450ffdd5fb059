"""Schedules, groups and the mean of weights, by hand."""

import pytest
import torch
from torch import nn

from mlcd_train.optimizer import WeightAverage, learning_rate, make_optimizer
from mlcd_train.sections import OptimizerConfig


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("cosine", {0: 0.5, 1: 1.0, 2: 1.0, 6: 0.1 + 0.9 * (1 + 2**-0.5) / 2, 10: 0.55, 18: 0.1}),
        ("constant", {0: 0.5, 1: 1.0, 2: 1.0, 17: 1.0}),
        ("wsd", {0: 0.5, 1: 1.0, 2: 1.0, 13: 1.0, 14: 1.0, 15: 0.1 + 0.9 * 3 / 4, 17: 0.1 + 0.9 / 4, 18: 0.1}),
    ],
)
def test_the_rate_of_a_step(schedule, rates):
    """Of 18 steps two are warm-up; the last 0.22 of wsd are four, before which the rate stays."""
    config = OptimizerConfig(lr=1.0, warmup=2, min_lr=0.1, schedule=schedule, cooldown=0.22)
    assert {step: learning_rate(step, 18, config) for step in rates} == pytest.approx(rates)


def test_short_trainings_have_a_rate():
    config = OptimizerConfig(lr=1.0, warmup=0, schedule="wsd", cooldown=0.1)
    assert [learning_rate(step, 2, config) for step in range(2)] == [1.0, 1.0]
    assert learning_rate(0, 0, OptimizerConfig(lr=1.0, warmup=0)) == 1.0
    assert learning_rate(3, 3, OptimizerConfig(lr=1.0, warmup=3)) == 1.0


def test_groups_are_by_rate_and_decay():
    named = [
        ("visual.blocks.0.qkv.weight", nn.Parameter(torch.zeros(2, 2))),
        ("visual.blocks.0.qkv.bias", nn.Parameter(torch.zeros(2))),
        ("visual.position_embedding", nn.Parameter(torch.zeros(3, 2))),
        ("visual.class_angles", nn.Parameter(torch.zeros(1, 2))),
        ("logit_scale", nn.Parameter(torch.zeros(()))),
        ("projection", nn.Parameter(torch.zeros(2, 2))),
    ]
    config = OptimizerConfig(lr=0.3, weight_decay=0.4, betas=(0.5, 0.6), eps=0.7, layer_decay=0.5)
    optimizer = make_optimizer(named, config)
    found = [
        (group["scale"], group["weight_decay"], [name for name, p in named if any(p is q for q in group["params"])])
        for group in optimizer.param_groups
    ]
    assert found == [
        (1.0, 0.4, ["projection"]),
        (1.0, 0.0, ["logit_scale"]),
        (0.5, 0.4, ["visual.blocks.0.qkv.weight"]),
        (0.5, 0.0, ["visual.blocks.0.qkv.bias"]),
        (0.25, 0.0, ["visual.position_embedding", "visual.class_angles"]),
    ]
    assert {(group["lr"], group["betas"], group["eps"]) for group in optimizer.param_groups} == {(0.3, (0.5, 0.6), 0.7)}


def test_a_mean_that_starts_again_is_a_copy():
    parameter = nn.Parameter(torch.zeros(2))
    average = WeightAverage([("p", parameter)], 0.9)
    parameter.data.fill_(3.0)
    assert average.weights["p"].tolist() == [0, 0]
    average.restart()
    parameter.data.fill_(5.0)
    assert average.weights["p"].tolist() == [3, 3]
    average.update(10**6)  # far into training the decay is the one that was asked for
    assert average.weights["p"].tolist() == pytest.approx([3.2, 3.2])
