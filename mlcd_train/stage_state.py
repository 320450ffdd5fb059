"""The state of a finished stage: done.json in its folder, with the settings that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mlcd_eval.encoders.registry import parse
from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.documents import read_object
from mlcd_eval.support.fileio import write_json
from mlcd_train.config import TrainConfig
from mlcd_train.sections import LABELS

FILE = "done.json"

LOOKS_ONLY = {
    "save_every",
    "keep",
    "log_every",
    "log_to",
    "profile",
    "evaluate",
    "compile",
    "activation_checkpointing",
    "accumulation",
    "shard",
}
"""Keys of fit and lit that change no weight, except through the order of sums."""


NOT_THE_ORDER = {"train", "split", "workers", "allow_bad", "shard_cache"}
"""Keys of data that change no step that was already done; what is read is known by its fingerprint."""


def stage_settings(config: TrainConfig, stage: str, data: str, weights: Mapping[str, str]) -> dict[str, Any]:
    """What a stage's result depends on, the stages before it as a digest.

    data: fingerprint of the training data. weights: contents of the files that the config names, by `embed.model`,
    `assign.labels`, `model.init` and `fit.continue_from`.
    """

    def digest_of(earlier: str) -> str:
        return digest(stage_settings(config, earlier, data, weights))

    if stage == "embed":
        assert config.embed is not None
        settings = config.embed.model_dump(mode="json", exclude={"model", "batch_size"})
        return {"data": data, "model": weights.get("embed.model", config.embed.model), **settings}
    if stage == "cluster":
        assert config.cluster is not None
        return {
            "embed": digest_of("embed"),
            "seed": config.seed,
            "products": config.products,
            **config.cluster.model_dump(),
        }
    if stage == "assign":
        assert config.assign is not None
        settings = {}
        for name, labels in config.assign.sets.items():
            known = {"labels": weights.get(config.assign.keys[name], labels.model_dump(mode="json")["labels"])}
            settings[name] = labels.model_dump(mode="json", exclude={"heads"}) | known
        before = {"data": data} if config.cluster is None else {"cluster": digest_of("cluster")}
        return before | (settings if config.assign.heads else settings[LABELS])
    if stage == "fit":
        return {
            "before": digest_of("assign") if config.assign else data,
            "seed": config.seed,
            "reading": config.data.model_dump(mode="json", exclude=NOT_THE_ORDER),
            "model": config.model.model_dump(mode="json") | {"init": weights.get("model.init", config.model.init)},
            **config.fit.model_dump(mode="json", exclude=LOOKS_ONLY),
            "continue_from": weights.get("fit.continue_from"),
        } | ({"regions": weights["fit.objective.regions"]} if "fit.objective.regions" in weights else {})
    if stage == "lit":
        assert config.lit is not None
        return {"fit": digest_of("fit"), **config.lit.model_dump(mode="json", exclude=LOOKS_ONLY)}
    return {"before": digest_of("lit" if config.lit else "fit")}


def weights_fingerprint(spec: str) -> str | None:
    """Identity of a local checkpoint by its contents, since it may be moved, or trained anew under its name. None if
    the encoder spec names no local file."""
    path = Path(parse(spec).target.removeprefix("local-dir:")).expanduser()
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path] if path.is_file() else []
    return digest([[file.name, file_digest(file)] for file in files]) if files else None


def digest(*sections: Any) -> str:
    """Identity of settings and of what they were applied to."""
    plain = [section.model_dump(mode="json") if isinstance(section, BaseModel) else section for section in sections]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's contents."""
    contents = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            contents.update(block)
    return contents.hexdigest()


def write_stage_state(folder: Path, settings: Mapping[str, Any]) -> None:
    """Record that `folder` holds the result of `settings`."""
    write_json(folder / FILE, settings)


def is_done(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a stage's result is there; raises ConfigError if other settings made it, CheckpointError if the file is
    damaged."""
    path = folder / FILE
    if not path.is_file():
        return False
    try:
        was = read_object(path)
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error} of a stage's settings") from error
    now = json.loads(json.dumps(settings))
    if was == now:
        return True
    raise ConfigError(
        f"{folder} was made by another config: {changes(was, now)} (choose another output, or delete that folder)"
    )


def changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two sets of a stage's settings, in words."""
    was, now = _flat(was), _flat(now)
    differences = [key for key in sorted(set(was) | set(now)) if was.get(key) != now.get(key)]
    return ", ".join(f"{key} was {_short(was.get(key))} and is {_short(now.get(key))}" for key in differences)


def _flat(settings: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Values by `section.key`."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{section}{key}.") if isinstance(value, dict) else {f"{section}{key}": value}
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
