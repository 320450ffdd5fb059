"""Stage 5, LiT (Zhai et al. 2022): train a text tower from scratch by contrast with the locked image tower."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from mlcd_eval.encoders.adapters.checkpoint import CheckpointEncoder, DualEncoder, tokenizer
from mlcd_eval.encoders.base import PENULTIMATE, PROJECTED
from mlcd_eval.encoders.identity import identified
from mlcd_eval.encoders.kinds import CHECKPOINT, KINDS
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.support.distributed import rank, world_size
from mlcd_eval.support.progress import Progress
from mlcd_train.config import TrainConfig
from mlcd_train.data.batches import Batch, Positions, Share
from mlcd_train.data.features import feature_batches
from mlcd_train.data.pixels import pixel_batches
from mlcd_train.data.source import TrainSplit
from mlcd_train.fit import make_evaluator, new_model, num_steps, prepare, provenance
from mlcd_train.loop import train
from mlcd_train.objectives.contrast import Contrast
from mlcd_train.sharding import whole


def lit(
    config: TrainConfig,
    split: TrainSplit,
    image_tower: DualEncoder,
    options: EncodeOptions,
    folder: Path,
    identity: str,
    device: torch.device,
    progress: Progress,
) -> DualEncoder:
    """Train as config.lit says, from the last state in `folder` if there is one; returns both towers.

    image_tower: the result of fit. Text is projected into its space; the image side gets no new projection. options:
    for the cached features. identity: digest of what a state must agree with. Raises what `train` raises.
    """
    settings = config.lit
    assert settings is not None
    steps = num_steps(settings, split)
    source = provenance(config, split, steps * settings.batch_size) | {"lit_images": settings.images}
    shape = image_tower.config.model_copy(update={"text": settings.text, "provenance": source})
    model = new_model(shape, config.seed, device)
    model.load_state_dict(image_tower.state_dict(), strict=False)
    prepare(model, settings, device)
    objective = Contrast(model, tokenizer(settings.text), locked=True, loss=settings.loss)
    share = Share(settings.batch_size, rank(), world_size())

    if settings.images == "cached":
        tower = CheckpointEncoder(str(folder.parent / "fit" / "model"), image_tower)
        encoder = identified(tower, KINDS[CHECKPOINT]).to(device)
        layer = PROJECTED if image_tower.config.embed_dim else PENULTIMATE
        with progress.stage("features of the locked tower", split.scan().num_samples, "images") as advance:
            features = encode_split(encoder, split, [layer], options, advance).features[layer]

    def batches(start: Positions | None) -> Iterator[Batch]:
        if settings.images == "cached":
            return feature_batches(features.keys, features.array, features.texts, share, config.seed, start)
        return pixel_batches(split, config.data, shape.preprocess, share, config.seed, start, device)

    evaluator = make_evaluator(model, config.name, settings, folder, device)
    train(objective, batches, steps, settings, folder, identity, device, progress, f"lit {config.name}", evaluator)
    return whole(model)
