"""Half precision: the loss and what it moves stay fp32, and gradients that overflow are seen wherever they are."""

import itertools
from functools import partial

import pytest
import torch

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import CheckpointError
from mlcd_eval.support.progress import Progress
from mlcd_train import loop
from mlcd_train.centres import ClassCentres
from mlcd_train.clock import Clock
from mlcd_train.data.batches import Batch
from mlcd_train.fit import new_model
from mlcd_train.losses import mlcd_of_sums
from mlcd_train.non_finite import NonFiniteLoss
from mlcd_train.objectives.base import image_features
from mlcd_train.objectives.discrimination import ClusterDiscrimination
from mlcd_train.sections import LoopConfig, OptimizerConfig

CPU = torch.device("cpu")
SHAPE = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}


def discrimination(num_classes, positives, size):
    """An objective with every class drawn, and a batch for it."""
    generator = torch.Generator().manual_seed(1)
    config = CheckpointConfig(vision=SHAPE, embed_dim=32, preprocess=Preprocess(image_size=16))
    labels = torch.stack([torch.randperm(num_classes, generator=generator)[:positives] for _ in range(size)])
    centres = ClassCentres(num_classes, 32, mlcd_of_sums, ratio=1.0)
    objective = ClusterDiscrimination(new_model(config, 0, CPU), centres, lambda keys: labels, 1.0)
    return objective, Batch([""] * size, torch.randn(size, 3, 16, 16, generator=generator), [""] * size, {0: (0, 0)})


def train(objective, batch, steps, precision, folder):
    config = LoopConfig(steps=steps, precision=precision, log_every=1, optimizer=OptimizerConfig(lr=1e-3, warmup=4))
    batches = itertools.repeat(batch)
    loop.train(objective, lambda _: batches, steps, config, folder, "x", CPU, Progress(), "fit")


def test_the_loss_of_bf16_features_goes_back_in_fp32():
    objective, batch = discrimination(40, 3, 16)
    objective.prepare(batch, 0)
    with loop.autocast(CPU, "bf16"):
        objective.step(batch, 0, 1, partial(loop._backward, torch.amp.GradScaler("cpu", enabled=False), Clock(CPU)))
        features = image_features(objective.model, batch.images).detach()
    labels = objective._labels_of(batch.keys)
    expected = objective.centres()["centres"].draw(labels, 0)
    objective.centres()["centres"].forward(features, labels, expected).loss.backward()
    torch.testing.assert_close(objective._drawn.rows.grad, expected.rows.grad, rtol=1e-6, atol=1e-6)


def test_fp16_trains_centres_whose_scaled_gradients_are_large(tmp_path):
    objective, batch = discrimination(16, 1, 256)
    before = objective.centres()["centres"].weight.clone()
    train(objective, batch, 12, "fp16", tmp_path)
    assert objective.centres()["centres"].weight.isfinite().all()
    assert (objective.centres()["centres"].weight != before).any()


class Overflowing(ClusterDiscrimination):
    """Whose centres' gradients overflow, and nothing else, in the first `times` steps."""

    times = 6

    def finite(self):
        self.times -= 1
        if self.times >= 0:
            self._drawn.rows.grad[0] = torch.inf
        return super().finite()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_row_gradient_that_is_no_number_stops(tmp_path, precision):
    objective, batch = discrimination(16, 1, 8)
    objective.__class__ = Overflowing
    with pytest.raises(NonFiniteLoss, match="the gradient norm of step 0 is nan"):
        train(objective, batch, 4, precision, tmp_path)


def test_fp16_leaves_out_the_steps_whose_row_gradients_overflow(tmp_path):
    objective, batch = discrimination(16, 1, 8)
    objective.__class__ = Overflowing
    train(objective, batch, 8, "fp16", tmp_path)
    assert objective.centres()["centres"].weight.isfinite().all()
    assert objective.centres()["centres"].steps.unique().tolist() == [2]


def test_an_fp16_scale_that_falls_below_1_stops(tmp_path):
    objective, batch = discrimination(16, 1, 8)
    objective.__class__, objective.times = Overflowing, 99
    with pytest.raises(NonFiniteLoss, match=r"the fp16 loss scale of step 16 is 0.5, expected at least 1"):
        train(objective, batch, 30, "fp16", tmp_path)


def test_fp16_goes_on_from_a_state_before_its_first_step(tmp_path):
    objective, batch = discrimination(16, 1, 8)
    objective.__class__ = Overflowing
    train(objective, batch, 2, "fp16", tmp_path)
    assert not objective.centres()["centres"].steps.any()
    with pytest.raises(CheckpointError, match=r"step_0000002 is damaged: 'optimizer.exp_avg"):
        train(discrimination(16, 1, 8)[0], batch, 8, "fp32", tmp_path)
    resumed, _ = discrimination(16, 1, 8)
    train(resumed, batch, 8, "fp16", tmp_path)
    assert resumed.centres()["centres"].steps.all()
