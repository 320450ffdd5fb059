"""Objectives in parts: loss and gradients of the whole batch, whatever the number of parts; LiT moves the text only."""

from typing import Annotated, ClassVar, Literal

import pytest
import torch
from pydantic import Field
from tiny_objectives import batch, discrimination, gradients, model
from two_ranks import on_two_ranks

from mlcd_eval.encoders.adapters.checkpoint import tokenizer
from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import validated
from mlcd_eval.support.progress import Progress
from mlcd_train import distributed
from mlcd_train.config import FitConfig, TrainConfig
from mlcd_train.data.batches import Batch
from mlcd_train.distributed import GradientMean, average_gradients
from mlcd_train.loop import train
from mlcd_train.losses import clip_loss
from mlcd_train.objectives import AnyObjective
from mlcd_train.objectives.base import Needs, Objective, ObjectiveSettings, image_features
from mlcd_train.objectives.contrast import MAX_LOGIT_SCALE, Contrast
from mlcd_train.runlog import read_log
from mlcd_train.sections import LoopConfig, OptimizerConfig
from mlcd_train.stages import TrainingRun


@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-4), ("bf16", 0.03)])
@pytest.mark.parametrize("kind", ["mlcd", "clip", "lit"])
def test_parts_have_the_loss_and_gradient_of_the_whole(kind, precision, error):
    net = model(text=None) if kind == "mlcd" else model()
    objective = discrimination(net) if kind == "mlcd" else Contrast(net, tokenizer(net.config.text), kind == "lit")
    whole, expected = gradients(objective, 1, batch(), precision)
    for parts in (2, 4):
        terms, grads = gradients(objective, parts, batch(), precision)
        assert terms == pytest.approx(whole, rel=error, abs=error / 100)
        assert grads.keys() == expected.keys()
        for name, grad in expected.items():
            assert (grads[name] - grad).norm() <= error * grad.norm() + error / 10, name


def _rank(rank, port, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    mine, data, outcomes = slice(4 * rank, 4 * rank + 4), batch(), []
    part = Batch(data.keys[mine], data.images[mine], data.texts[mine], data.after)
    sizes = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(tuple(t.shape)) or t, lambda t: t)
    for locked, parts in CONTRASTS:
        net = model()
        objective = Contrast(net, tokenizer(net.config.text), locked)
        with hooks:
            terms, _ = gradients(objective, parts, part)
        average_gradients(net.parameters())
        outcomes.append((float(terms["loss"]), {n: p.grad.numpy().copy() for n, p in objective.parameters}))
    clusters = discrimination(model(text=None))
    gradients(clusters, 1, part)
    finite = [bool(clusters.finite())]
    if rank == 1:
        clusters._drawn.rows.grad[0] = torch.nan
    results.put((outcomes, (8, 8) in sizes, [*finite, bool(clusters.finite())]))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _overlapping(rank, port, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    distributed.BUCKET = 3000
    mine, data, outcomes, early = slice(4 * rank, 4 * rank + 4), batch(), [], []
    part = Batch(data.keys[mine], data.images[mine], data.texts[mine], data.after)
    for parts in (1, 2):
        net = model()
        objective = Contrast(net, tokenizer(net.config.text))
        mean = GradientMean([p for _, p in objective.parameters])
        for _ in range(2):
            gradients(objective, parts, part)
            early.append(len(mean._sent))
            plain = [p.grad.clone() for _, p in objective.parameters]
            mean.finish()
            for (_, p), grad in zip(objective.parameters, plain, strict=True):
                torch.distributed.all_reduce(grad)
                outcomes.append(torch.equal(p.grad, grad / 2))
        mean.close()
        assert not any(p._post_accumulate_grad_hooks for _, p in objective.parameters)
    results.put((all(outcomes), early))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_gradients_are_averaged_while_backward_runs(unused_port):
    """From the second step on every message has left when backward ends."""
    for are_means, early in on_two_ranks(_overlapping, unused_port):
        assert are_means
        assert early[0] == early[2] == 0 and early[1] == early[3] > 3


CONTRASTS = [(locked, parts) for locked in (False, True) for parts in (1, 2)]


def test_two_ranks_contrast_like_one_with_a_share_of_the_rows_each_and_see_each_others_nan(unused_port):
    for outcomes, whole_matrix, finite in on_two_ranks(_rank, unused_port):
        assert not whole_matrix
        assert finite == [True, False]
        for (locked, parts), (loss, grads) in zip(CONTRASTS, outcomes, strict=True):
            net = model()
            terms, expected = gradients(Contrast(net, tokenizer(net.config.text), locked), parts, batch())
            assert loss == pytest.approx(terms["loss"], rel=1e-5)
            assert grads.keys() == expected.keys()
            for name, grad in expected.items():
                torch.testing.assert_close(torch.tensor(grads[name]), grad, rtol=1e-3, atol=1e-5, msg=name)


def test_contrast_is_clips_loss_of_unit_features():
    net = model()
    objective = Contrast(net, tokenizer(net.config.text))
    terms, _ = gradients(objective, 1, batch())
    with torch.no_grad():
        image = image_features(net, batch().images)
        text = net.text(tokenizer(net.config.text)(list(batch().texts)))
        image, text = image / image.norm(dim=1, keepdim=True), text / text.norm(dim=1, keepdim=True)
        assert terms["loss"] == pytest.approx(clip_loss(image, text, 1 / 0.07).item(), rel=1e-5)
        cosine = image @ text.T
    off = ~torch.eye(8, dtype=torch.bool)
    assert terms["positive_cosine"] == pytest.approx(cosine.diagonal().mean().item(), abs=1e-6)
    assert terms["negative_cosine"] == pytest.approx(cosine[off].mean().item(), abs=1e-6)


def test_the_temperature_is_clamped_at_100():
    net = model()
    objective = Contrast(net, tokenizer(net.config.text))
    net.logit_scale.data.fill_(9.0)
    objective.update(0.1, OptimizerConfig(), 1.0)
    assert net.logit_scale.exp().item() == pytest.approx(100.0)


def test_training_ends_with_a_temperature_of_at_most_100(tmp_path):
    net = model()
    objective = Contrast(net, tokenizer(net.config.text), locked=True)
    net.logit_scale.data.fill_(MAX_LOGIT_SCALE)
    data = batch(net.text(tokenizer(net.config.text)(list(batch().texts))).detach())  # pairs that ask for more
    config = LoopConfig(steps=1, optimizer=OptimizerConfig(lr=0.5, warmup=0))
    train(objective, lambda _: iter([data]), 1, config, tmp_path, "x", torch.device("cpu"), Progress(), "lit")
    assert net.logit_scale.item() == pytest.approx(MAX_LOGIT_SCALE)


def test_a_locked_tower_gets_no_gradient_and_cached_features_do_the_same():
    net = model()
    objective = Contrast(net, tokenizer(net.config.text), locked=True)
    assert {name.split(".")[0] for name, _ in objective.parameters} == {"text", "logit_scale"}
    terms, grads = gradients(objective, 1, batch())
    assert all(p.grad is None for p in net.visual.parameters()) and net.projection.grad is None
    cached, again = gradients(objective, 1, batch(image_features(net, batch().images).detach()))
    assert cached == pytest.approx(terms)
    for name, grad in grads.items():
        torch.testing.assert_close(again[name], grad, rtol=1e-4, atol=1e-6)


class Level(ObjectiveSettings):
    """An objective as another engineer would add it: features of length `target`. It needs nothing of the config."""

    needs: ClassVar[Needs] = Needs()
    name: Literal["level"] = "level"
    target: float = 1.0

    def build(self, inputs):
        return LevelObjective(inputs.model, self.target)


class LevelObjective(Objective):
    def __init__(self, net, target):
        self.model, self.target = net, target
        self.parameters = list(net.named_parameters())

    def step(self, batch, step, parts, backward):
        loss = (image_features(self.model, batch.images).norm(dim=1) - self.target).square().mean()
        backward(loss)
        return {"loss": loss.detach()}


def test_an_objective_is_its_settings_and_a_member_of_the_union(make_config):
    class Fit(FitConfig):
        objective: Annotated[AnyObjective | Level, Field(discriminator="name")]

    class Config(TrainConfig):
        fit: Fit

    values = make_config().model_dump(exclude={"embed", "cluster", "assign"}, exclude_none=True)
    values["fit"]["objective"] = {"name": "level", "target": 2.0}
    with pytest.raises(ConfigError, match=r"a section embed, since fit\.objective is mlcd"):
        validated(Config, values | {"fit": values["fit"] | {"objective": "mlcd"}}, "config")
    run = TrainingRun(validated(Config, values, "config"), torch.device("cpu"), Progress())
    assert run.stages == ["fit", "export"] and run.settings("fit")["objective"] == {"name": "level", "target": 2.0}
    run.run()
    losses = [line["loss"] for line in read_log(run.config.output / "fit" / "log.jsonl")]
    assert len(losses) == 4 and losses[-1] < losses[0]
