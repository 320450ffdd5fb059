"""A small model, a batch for it, and an objective's loss and gradients of them."""

import torch

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_train.centres import ClassCentres
from mlcd_train.data.batches import Batch
from mlcd_train.fit import new_model
from mlcd_train.loop import autocast
from mlcd_train.losses import mlcd_of_sums
from mlcd_train.objectives.discrimination import ClusterDiscrimination

SHAPE = {
    "vision": {"image_size": 16, "patch_size": 8, "width": 32, "depth": 2, "heads": 2},
    "text": {"context_length": 12, "width": 32, "depth": 1, "heads": 2},
    "embed_dim": 16,
    "preprocess": Preprocess(image_size=16),
}


def model(**changes):
    return new_model(CheckpointConfig(**{**SHAPE, **changes}), 0, torch.device("cpu"))


def batch(images=None):
    generator = torch.Generator().manual_seed(1)
    keys = [f"k{n}" for n in range(8)]
    pixels = torch.randn(8, 3, 16, 16, generator=generator) if images is None else images
    return Batch(keys, pixels, [f"thing number {n}" for n in range(8)], {0: (0, 8)})


def gradients(objective, parts, data, precision="fp32"):
    for _, parameter in objective.parameters:
        parameter.grad = None
    objective.prepare(data, 0)
    with autocast(torch.device("cpu"), precision):
        assert precision == "fp32" or not torch.is_autocast_cache_enabled()  # it loses gradients in torch 2.6 to 2.9
        terms = objective.step(data, 0, parts, lambda loss: loss.backward())
    terms = {name: float(value) for name, value in terms.items()}
    return terms, {name: p.grad.clone() for name, p in objective.parameters if p.grad is not None}


def discrimination(net):
    classes = torch.stack([torch.randperm(30, generator=torch.Generator().manual_seed(n))[:3] for n in range(8)])
    centres = ClassCentres(30, 16, mlcd_of_sums, ratio=0.3)
    return ClusterDiscrimination(net, centres, lambda keys: classes[[int(key[1:]) for key in keys]], 1.0)
