"""What a training starts from, and what is stored about it in the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlcd_eval.support.documents import read_json
from mlcd_train import state_files
from mlcd_train.config import TrainConfig
from mlcd_train.fit import named
from mlcd_train.stage_state import changes, digest, file_digest, weights_fingerprint
from mlcd_train.start import Start
from mlcd_train.state import newest_state

SETTINGS = "settings.json"
"""Of a training that has begun, in fit's folder: the settings that its result depends on."""


def weights_of(config: TrainConfig) -> dict[str, str]:
    """Identity of the local files that a config names, by the key that names them."""
    embed, init, state = config.embed, config.model.init, config.fit.continue_from
    labels = {config.assign.keys[name]: own.labels for name, own in config.assign.sets.items()} if config.assign else {}
    regions = getattr(config.fit.objective, "regions", None)
    weights = {
        "embed.model": embed and weights_fingerprint(embed.model),
        **{key: file_digest(own) for key, own in labels.items() if isinstance(own, Path) and own.is_file()},
        "fit.objective.regions": file_digest(regions) if regions is not None and regions.is_file() else None,
        "model.init": init and weights_fingerprint(init),
        "fit.continue_from": state and _state_digest(newest_state(state)),
    }
    return {key: value for key, value in weights.items() if value}


def _state_digest(place: Path) -> str:
    """Of the contents of a state's tensors: of one file, or of those of several ranks."""
    digests = [file_digest(path) for path in state_files.files(place)]
    return digests[0] if len(digests) == 1 else digest(digests)


def origin(
    config: TrainConfig, settings: Mapping[str, Any], weights: Mapping[str, str], start: Start | None
) -> dict[str, str]:
    """Provenance of what fit starts from; empty for a start at random.

    settings: of the stage fit. start: the weights of model.init. Raises CheckpointError for a state that cannot be
    continued.
    """
    facts: dict[str, str] = {}
    if config.model.init is not None and start is not None:
        facts |= {"init": config.model.init, "init_fingerprint": start.fingerprint}
        facts |= {"init_not_used": named(start.left)} if start.left else {}
    if config.fit.continue_from is not None:
        place = newest_state(config.fit.continue_from)
        facts |= {"continued_from": str(place), "continued_from_sha256": weights["fit.continue_from"]}
        before = place.parent.parent / SETTINGS
        if before.is_file():
            facts["continued_changes"] = changes(read_json(before), settings)
    return facts
