"""Stage 4: train the image tower (with the objective clip, the text tower too) from scratch."""

from __future__ import annotations

import fnmatch
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import mlcd_eval
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.records.environment import environment
from mlcd_eval.support.distributed import barrier, rank, world_size
from mlcd_eval.support.progress import Progress
from mlcd_train.between_steps import Evaluate
from mlcd_train.config import TrainConfig
from mlcd_train.data.batches import Batch, Positions, Share
from mlcd_train.data.decoders import difference
from mlcd_train.data.pixels import pixel_batches
from mlcd_train.data.source import TrainSplit
from mlcd_train.drops import DropRule
from mlcd_train.labels import LabelFiles
from mlcd_train.loop import checkpoint_activations, train
from mlcd_train.objectives.base import Objective, ObjectiveInputs
from mlcd_train.products import products_on
from mlcd_train.sections import LoopConfig, ModelConfig
from mlcd_train.sharding import shard, whole
from mlcd_train.start import Start, load_start
from mlcd_train.state import TrainingState, newest_state


def fit(
    config: TrainConfig,
    split: TrainSplit,
    read_labels: Callable[[str], LabelFiles],
    read_centres: Callable[[], Tensor],
    folder: Path,
    identity: str,
    device: torch.device,
    progress: Progress,
    origin: Mapping[str, str],
    start: Start | None = None,
) -> DualEncoder:
    """Train as config.fit says, from the last state in `folder` if there is one.

    read_labels, read_centres: what the stages assign (by name) and cluster made, for objectives that need clusters.
    identity: digest of what a state must agree with. origin: provenance of what the training starts from. start: the
    weights of model.init. Raises what the objective's `build` and `train` raise.
    """
    settings = config.fit
    steps = num_steps(settings, split)
    facts = provenance(config, split, steps * settings.batch_size) | dict(origin)
    shape = checkpoint_config(config.model, facts)
    model = new_model(shape, config.seed, device)
    if start is not None:
        random = load_start(model, start)
        left = f"; not taken from it: {named(start.left)}" if start.left else ""
        progress.say(f"fit: starts from {config.model.init}; at random: {named(random)}{left}")
    freeze(model, settings.freeze)
    prepare(model, settings, device)
    objective = build_objective(config, model, read_labels, read_centres, device)

    def batches(start: Positions | None) -> Iterator[Batch]:
        share = Share(settings.batch_size, rank(), world_size())
        return pixel_batches(split, config.data, shape.preprocess, share, config.seed, start, device)

    def begin(state: TrainingState) -> None:
        if settings.continue_from is not None:
            place = newest_state(settings.continue_from)
            progress.say(f"fit: continues from {place}; not taken from it: {named(state.begin_from(place))}")

    evaluator = make_evaluator(model, config.name, settings, folder, device)
    title = f"fit {config.name}"
    train(objective, batches, steps, settings, folder, identity, device, progress, title, evaluator, begin)
    return whole(model)


def build_objective(
    config: TrainConfig,
    model: DualEncoder,
    read_labels: Callable[[str], LabelFiles],
    read_centres: Callable[[], Tensor],
    device: torch.device,
) -> Objective:
    """What fit minimises. device: where images and class centres are multiplied."""
    settings, vision = config.fit, config.model.vision
    drops = DropRule(config.seed, settings.drop_path, settings.patch_dropout, vision.depth, vision.grid)
    products = products_on(device, config.products)
    inputs = ObjectiveInputs(
        model, config.seed, read_labels, read_centres, drops, products, augmentation=config.data.augmentation
    )
    return settings.objective.build(inputs)


def checkpoint_config(model: ModelConfig, facts: dict[str, str]) -> CheckpointConfig:
    """The checkpoint of the model that fit trains. facts: its provenance."""
    return CheckpointConfig(
        vision=model.vision,
        text=model.text,
        embed_dim=model.embed_dim,
        preprocess=Preprocess(image_size=model.vision.image_size),
        provenance=facts,
    )


def freeze(model: DualEncoder, patterns: Sequence[str]) -> None:
    """Let the parameters whose names match a pattern (as of file names) not learn.

    Raises ConfigError for a pattern that matches none, or where none learns.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ConfigError(
                f"fit.freeze: {pattern!r} matches no parameter, expected a name or a pattern such as "
                f"visual.blocks.0.*: {named(names)}{nearest(pattern, names)}"
            )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatch.fnmatch(name, pattern) for pattern in patterns))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"fit.freeze: {', '.join(patterns)} match every parameter, expected some that learn")


def named(names: Sequence[str]) -> str:
    """The first of some names, and how many there are."""
    return f"{', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}" or "nothing"


def num_steps(settings: LoopConfig, split: TrainSplit) -> int:
    """The number of steps of the whole training; an epoch has as many images as the split, in whole batches."""
    if settings.steps is not None:
        return settings.steps
    assert settings.epochs is not None
    return max(1, math.floor(settings.epochs * split.size / settings.batch_size))


def new_model(config: CheckpointConfig, seed: int, device: torch.device) -> DualEncoder:
    """A model initialised at random from the seed, the same on every rank and device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DualEncoder(config).to(device)


def prepare(model: DualEncoder, settings: LoopConfig, device: torch.device) -> None:
    """Turn on activation checkpointing, sharding and compilation if the settings say so. It comes before the objective,
    whose parameters sharding replaces."""
    if settings.activation_checkpointing:
        checkpoint_activations(model)
    if settings.shard == "fsdp":
        shard(model, device)
    if settings.compile:
        model.visual.compile()
        if model.text is not None:
            model.text.compile()


def provenance(config: TrainConfig, split: TrainSplit, images_seen: int) -> dict[str, str]:
    """Where a checkpoint comes from: stored in it, and in every evaluation record of it."""
    facts = environment("cpu")
    versions = {name: str(facts[name]) for name in ("mlcd_eval", "git_commit", "torch", "open_clip_torch")}
    return {
        "trainer": "mlcd-train",
        "objective": config.fit.objective.name,
        "seed": str(config.seed),
        "train_data": split.dataset,
        "train_fingerprint": split.scan().fingerprint,
        "images_seen": str(images_seen),
        "decoder": difference(config.data.decoder, config.data.augmentation, config.model.vision.image_size),
        "config": json.dumps(config.model_dump(mode="json", exclude_none=True)),
        **versions,
    }


def make_evaluator(
    model: DualEncoder, name: str, settings: LoopConfig, folder: Path, device: torch.device
) -> Evaluate | None:
    """A function that runs tasks of mlcd-eval on the current model, through a checkpoint, kept if the settings say so,
    and a temporary feature store; None if they ask for no evaluation."""
    evaluation = settings.evaluate
    if evaluation is None:
        return None

    def evaluate(step: int) -> dict[str, float]:
        place = folder / ".evaluate"  # overwrites what a run killed here has left
        try:
            checkpoint = (folder / "checkpoints" if evaluation.keep else place) / f"{name}_step{step}"
            complete = whole(model)
            if rank() == 0:
                save_checkpoint(checkpoint, complete)
            barrier()
            if not evaluation.tasks:
                return {}
            results = mlcd_eval.evaluate(
                str(checkpoint),
                evaluation.tasks,
                output=folder / "evaluations",
                cache=place / "cache",
                data_root=evaluation.data_root,
                device="cuda" if device.type == "cuda" else "cpu",
            )
        finally:
            barrier()
            shutil.rmtree(place, ignore_errors=True)
        scored = [(result.task.name, result.primary) for result in results]
        return {f"{task}/{metric.name}": metric.value for task, metric in scored if metric and metric.value is not None}

    return evaluate
