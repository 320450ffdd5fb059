"""Stage 4: the image tower (and with the objective clip the text tower) from scratch."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

import mlcd_eval
from mlcd_eval.data.base import Split
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, save_checkpoint, tokenizer
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError
from mlcd_eval.records.environment import environment
from mlcd_eval.support.distributed import barrier, rank, world_size
from mlcd_eval.support.progress import Progress
from mlcd_train.assignment import Labels
from mlcd_train.centres import ClassCentres
from mlcd_train.config import LoopConfig, TrainConfig
from mlcd_train.data import Batch, Positions, Share, label_table, pixel_batches
from mlcd_train.loop import Evaluate, checkpoint_activations, train
from mlcd_train.losses import mlc_of_sums, mlcd_of_sums
from mlcd_train.objectives import ClusterDiscrimination, Contrast, Objective

OF_SUMS = {"mlcd": mlcd_of_sums, "mlc": mlc_of_sums, "cluster": mlc_of_sums}
"""By objective; MLC with one label an image is the softmax of cluster discrimination."""


def fit(
    config: TrainConfig,
    split: Split,
    labels: Labels | None,
    clusters: Tensor | None,
    folder: Path,
    identity: str,
    device: torch.device,
    progress: Progress,
) -> DualEncoder:
    """Train by config.fit from the last state in `folder`; labels, and clusters to start the class centres from, are
    those of the cluster objectives."""
    settings = config.fit
    steps = num_steps(settings, split)
    preprocess = Preprocess(image_size=config.model.vision.image_size)
    model = new_model(
        CheckpointConfig(
            vision=config.model.vision,
            text=config.model.text,
            embed_dim=config.model.embed_dim,
            preprocess=preprocess,
            provenance=provenance(config, split, steps * settings.batch_size),
        ),
        config.seed,
        device,
    )
    objective = _objective(config, model, labels, clusters, device)
    prepare(model, settings)

    def batches(start: Positions | None) -> Iterator[Batch]:
        share = Share(settings.batch_size, rank(), world_size())
        return pixel_batches(split, config.data, preprocess, share, config.seed, start)

    evaluator = make_evaluator(model, config.name, settings, folder, device)
    train(objective, batches, steps, settings, folder, identity, device, progress, f"fit {config.name}", evaluator)
    return model


def _objective(
    config: TrainConfig, model: DualEncoder, labels: Labels | None, clusters: Tensor | None, device: torch.device
) -> Objective:
    settings = config.fit
    if settings.objective == "clip":
        assert config.model.text is not None
        return Contrast(model, tokenizer(config.model.text))
    assert labels is not None
    dim = config.model.embed_dim or config.model.vision.width
    if clusters is not None and clusters.shape[1] != dim:
        raise ConfigError(
            f"fit.centres is clusters, of {clusters.shape[1]} dimensions: expected model.embed_dim like it, got {dim}"
        )
    centres = ClassCentres(
        labels.num_classes,
        dim,
        OF_SUMS[settings.objective],
        ratio=settings.ratio,
        margin=settings.margin,
        scale=settings.scale,
        seed=config.seed,
        centres=clusters,
        device=str(device),
    )
    return ClusterDiscrimination(model, centres, label_table(labels), settings.centres_lr)


def num_steps(settings: LoopConfig, split: Split) -> int:
    """Of all training; an epoch is as many images as the split holds, by whole batches."""
    if settings.steps is not None:
        return settings.steps
    size = split.scan().num_samples
    assert size is not None and settings.epochs is not None
    return max(1, math.floor(settings.epochs * size / settings.batch_size))


def new_model(config: CheckpointConfig, seed: int, device: torch.device) -> DualEncoder:
    """Randomly initialised from the seed, the same on every rank and device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DualEncoder(config).to(device)


def prepare(model: DualEncoder, settings: LoopConfig) -> None:
    """Activation checkpointing and compilation, as the settings say."""
    if settings.activation_checkpointing:
        checkpoint_activations(model)
    if settings.compile:
        model.visual.compile()
        if model.text is not None:
            model.text.compile()


def provenance(config: TrainConfig, split: Split, images_seen: int) -> dict[str, str]:
    """What travels in the checkpoint and appears in evaluation records."""
    found = environment("cpu")
    versions = {name: str(found[name]) for name in ("mlcd_eval", "git_commit", "torch", "open_clip_torch")}
    return {
        "trainer": "mlcd-train",
        "objective": config.fit.objective,
        "seed": str(config.seed),
        "train_data": split.dataset,
        "train_fingerprint": split.scan().fingerprint,
        "images_seen": str(images_seen),
        "config": json.dumps(config.model_dump(mode="json", exclude_none=True)),
        **versions,
    }


def make_evaluator(
    model: DualEncoder, name: str, settings: LoopConfig, folder: Path, device: torch.device
) -> Evaluate | None:
    """Tasks of mlcd-eval on the model as it stands, by a checkpoint and a feature store that are dropped afterwards."""
    chosen = settings.evaluate
    if chosen is None:
        return None

    def evaluate(step: int) -> dict[str, float]:
        place = folder / ".evaluate"  # left by a run that was killed here, it is written anew
        try:
            checkpoint = place / f"{name}_step{step}"
            if rank() == 0:
                save_checkpoint(checkpoint, model)
            barrier()
            results = mlcd_eval.evaluate(
                str(checkpoint),
                chosen.tasks,
                output=folder / "evaluations",
                cache=place / "cache",
                data_root=chosen.data_root,
                device=device.type,
            )
        finally:
            barrier()
            shutil.rmtree(place, ignore_errors=True)
        scored = [(result.task.name, result.primary) for result in results]
        return {f"{task}/{metric.name}": metric.value for task, metric in scored if metric and metric.value is not None}

    return evaluate
