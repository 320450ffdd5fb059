"""A small model, a batch for it, and an objective's loss and gradients of them."""

import torch

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, tokenizer
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_train.centres import ClassCentres
from mlcd_train.class_rows import ClassRows
from mlcd_train.data.batches import Batch
from mlcd_train.fit import new_model
from mlcd_train.loop import autocast
from mlcd_train.losses import mlc_of_sums, mlcd_of_sums
from mlcd_train.objectives.contrast import Contrast
from mlcd_train.objectives.discrimination import ClusterDiscrimination
from mlcd_train.objectives.heads import SeveralHeads
from mlcd_train.objectives.multi_sigmoid import MultiSigmoid, SigmoidPerClass
from mlcd_train.objectives.multi_softmax import SoftmaxPerLabel
from mlcd_train.objectives.rice import RegionDiscrimination, RegionPooling
from mlcd_train.objectives.superclass import SuperClass, WeightedSoftmax
from mlcd_train.region_file import Seen
from mlcd_train.sections import Augmentation

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


def labels_of(keys):
    """Three of 30 classes for each image."""
    classes = torch.stack([torch.randperm(30, generator=torch.Generator().manual_seed(n))[:3] for n in range(8)])
    return classes[[int(key[1:]) for key in keys]]


def discrimination(net, of_sums=mlcd_of_sums, labels=labels_of, **settings):
    centres = ClassCentres(30, 16, of_sums, ratio=0.3, **settings)
    return ClusterDiscrimination(net, centres, labels, 1.0)


def some_labels_of(keys):
    """The same, but two of them for the last image."""
    classes = labels_of(keys)
    classes[[key == "k7" for key in keys], 2] = -1
    return classes


def multi_softmax(net):
    centres = ClassCentres(30, 16, mlc_of_sums, ratio=0.3, positives_count=True, margin_kind="cosine", scale=16.0)
    return SoftmaxPerLabel(net, centres, some_labels_of, 1.0, 3)


def multi_sigmoid(net, **settings):
    settings = MultiSigmoid(**settings)
    rows = ClassRows(30, 16, ratio=0.3, linear=settings.logits == "linear")
    return SigmoidPerClass(net, rows, some_labels_of, settings)


def superclass(net, **settings):
    rows = ClassRows(30, 16, ratio=0.5, linear=True)
    return WeightedSoftmax(net, rows, some_labels_of, SuperClass(**settings), torch.linspace(0, 3, 30))


def heads(net):
    """Two with other classes and losses of their own."""
    both = {"image": discrimination(net), "words": multi_sigmoid(net)}
    return SeveralHeads(net, both, {"image": 1.0, "words": 0.5})


class SomeRegions:
    """Three of five boxes of an image have objects of 30 classes, and one, but for k7, has a text of two tokens."""

    def seen(self, keys, seeds, augmentation, count):
        corner = torch.rand(8, count, 2, generator=torch.Generator().manual_seed(2)) / 2
        objects, texts = torch.full((8, count, 1), -1), torch.full((8, count, 2), -1)
        objects[:, :3, 0] = labels_of([f"k{n}" for n in range(8)])
        texts[:7, 3] = torch.arange(7)[:, None] + torch.tensor([0, 9])
        boxes, own = torch.cat([corner, corner + 0.4], dim=-1), [int(key[1:]) for key in keys]
        return Seen(boxes[own], objects[own].flatten(0, 1), texts[own].flatten(0, 1))


def rice(net):
    torch.manual_seed(0)
    heads = {
        "objects": (ClassCentres(30, 16, mlc_of_sums, ratio=0.3, scale=16.0), 1.0, 1.0),
        "texts": (ClassCentres(30, 16, mlcd_of_sums, ratio=0.3, scale=16.0, seed=1), 0.5, 1.0),
    }
    return RegionDiscrimination(net, RegionPooling(32, 2, 16), SomeRegions(), heads, Augmentation(), 5)


OBJECTIVES = {
    "mlcd": discrimination,
    "mlc": lambda net: discrimination(net, mlc_of_sums),
    "cluster": lambda net: discrimination(net, mlc_of_sums, lambda keys: labels_of(keys)[:, :1], scale=16.0),
    "rice": rice,
    "heads": heads,
    "mlcd, filtered": lambda net: discrimination(
        net, margin_gradient="straight_through", threshold=0.2, scale=16.0, drawn_only=True
    ),
    "multi_softmax": multi_softmax,
    "multi_sigmoid": multi_sigmoid,
    "multi_sigmoid, linear": lambda net: multi_sigmoid(
        net, logits="linear", over_classes="mean", batch_positives="drawn_only"
    ),
    "superclass": superclass,
    "superclass, drawn only": lambda net: superclass(net, batch_positives="drawn_only"),
    "sigmoid contrast": lambda net: Contrast(net, tokenizer(net.config.text), loss="sigmoid"),
    "sigmoid contrast, locked": lambda net: Contrast(net, tokenizer(net.config.text), locked=True, loss="sigmoid"),
}
"""Every kind of objective, on a model with a text tower."""
