"""What can be seen before the first expensive step: each mistake is one sentence."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections import Counter
from collections.abc import Collection
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import torch

from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.extras.rapidocr import reader
from mlcd_eval.features.store import Entry, FeatureKey
from mlcd_eval.loggers.registry import check_loggers
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import validated
from mlcd_eval.support.distributed import world_size
from mlcd_train.clustering import check_start
from mlcd_train.config import TrainConfig
from mlcd_train.data.pixels import num_streams
from mlcd_train.data.source import LOOKED_AT, TrainSplit
from mlcd_train.fit import checkpoint_config, freeze
from mlcd_train.label_file import read_label_file
from mlcd_train.objectives.rice import Rice
from mlcd_train.region_file import RegionFile
from mlcd_train.sections import EvaluateConfig, LabelConfig, LoopConfig
from mlcd_train.state_files import check_sharding

FLOAT = 4  # bytes
GIB = 1 << 30
USUAL = 8  # labels of an image, where they are not counted yet
COPIES = 3  # of a weight in a state: itself and AdamW's two moments


def check_loop(name: str, section: LoopConfig, config: TrainConfig, split: TrainSplit, device: torch.device) -> None:
    """Raise UserError for what cannot work in a section fit or lit. name: of the section."""
    ranks = world_size()
    if section.batch_size % (ranks * section.accumulation):
        parts = f" x {section.accumulation} parts ({name}.accumulation)" if section.accumulation > 1 else ""
        raise ConfigError(
            f"{name}.batch_size: got {section.batch_size}, expected a multiple of {ranks} ranks{parts}, which share a "
            "batch equally"
        )
    num_streams(split, config.data, section.batch_size)
    _check_evaluation(section.evaluate)
    check_loggers(section.log_to)
    if section.shard == "fsdp":
        check_sharding()
    if section.compile:
        _check_compiler(name, device)


def _check_evaluation(config: EvaluateConfig | None) -> None:
    """Raise ConfigError for tasks that no model could be evaluated on later."""
    if config is not None and config.tasks:
        request = {"models": ("python:any:model",), "tasks": config.tasks, "data_root": config.data_root}
        make_plan(validated(RunRequest, request, "evaluate")).raise_problems()


def _check_compiler(name: str, device: torch.device) -> None:
    """Raise ConfigError unless there is what torch.compile needs: a C++ compiler on a CPU, Triton and a C compiler with
    Python's headers on a GPU."""
    on_gpu = device.type == "cuda"
    variable, usual = ("CC", ["gcc", "clang", "cc"]) if on_gpu else ("CXX", ["g++", "clang++"])
    names = [os.environ[variable]] if variable in os.environ else usual
    missing = None
    if not any(map(shutil.which, names)):
        missing = f"a {'C' if on_gpu else 'C++'} compiler, got none of {', '.join(names)}"
    elif on_gpu and find_spec("triton") is None:
        missing = "the package triton, which is not installed"
    elif on_gpu and not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        missing = f"Python's headers, got no Python.h in {sysconfig.get_path('include')}"
    if missing is not None:
        raise ConfigError(f"{name}.compile: true needs {missing} (or set compile: false)")


def check_clusters(config: TrainConfig, split: TrainSplit) -> None:
    """Raise ConfigError for more clusters than images, or more ranks than clusters."""
    if config.cluster is None:
        return
    if config.cluster.k > split.size:
        raise ConfigError(f"cluster.k: got {config.cluster.k}, expected at most {split.size}, the number of images")
    check_start(config.cluster.start, config.cluster.k, split.size)
    if config.cluster.k < world_size():
        raise ConfigError(
            f"cluster.k: got {config.cluster.k} classes on {world_size()} ranks, expected at least one per rank"
        )


def caption_readers(config: TrainConfig) -> list[str]:
    """Return what in a config reads captions."""
    readers = {
        f"fit.objective {config.fit.objective.name}": config.fit.objective.needs.captions,
        "lit": config.lit is not None,
        "embed.source": config.embed is not None and config.embed.source != "image",
    }
    if config.assign is not None:
        sets = config.assign.sets.items()
        readers |= {config.assign.keys[name]: labels.labels in ("words", "tokens") for name, labels in sets}
    return [name for name, reads in readers.items() if reads]


def check_label_files(config: TrainConfig) -> None:
    """Raise DataError for a file of labels that cannot be read."""
    for labels in label_sets(config).values():
        if isinstance(labels.labels, Path):
            read_label_file(labels.labels)


def starts_at_clusters(config: TrainConfig) -> bool:
    """Whether the class centres start as the clusters' centres, whose dimension must then be the model's."""
    objectives = config.fit.objective.by_labels.values()
    return any(getattr(objective, "centres", None) == "clusters" for objective in objectives)


def check_dimension(config: TrainConfig, dim: int) -> None:
    """Raise ConfigError unless features of this dimension can be the start of the class centres, if they are to be."""
    ours = config.model.embed_dim or config.model.vision.width
    if starts_at_clusters(config) and dim != ours:
        raise ConfigError(
            f"fit.objective.centres is clusters, of the {dim} dimensions of embed.model: expected model.embed_dim equal"
            f" to that, got {ours}"
        )


def has_features(cache: Path, encoder: Encoder, config: TrainConfig, split: TrainSplit) -> bool:
    """Whether the feature store in `cache` has the image features that embed computes with an encoder."""
    assert config.embed is not None
    data = split.scan().fingerprint
    key = FeatureKey.of(encoder.info, config.embed.precision, config.embed.layer, "image", data)
    return Entry(cache, key).complete


def check_disk(
    config: TrainConfig, split: TrainSplit, to_do: Collection[str], dim: int | None, cache: Path, stored: bool
) -> None:
    """Raise ConfigError where the disk has no room for what the stages `to_do` write. dim: of the features, None where
    they are there. stored: whether the feature store in `cache` has them."""
    output = config.output
    needs: list[tuple[Path, str, int]] = []
    if "embed" in to_do and dim is not None:
        size = split.size * dim * FLOAT
        what = f"features of {split.size:,} images of {dim} dimensions"
        needs.append((output, what, size))
        if not stored:
            needs.append((cache, f"{what} in the feature store", 2 * size))  # it joins its parts into one array
    if "assign" in to_do:
        counts = [labels.nearest or USUAL for labels in label_sets(config).values()]
        size = sum(split.size * (14 + 2 * FLOAT * count) for count in counts)  # pieces by rank, then their files
        needs.append((output, f"labels of {split.size:,} images", size))
    for name in ("fit", "lit"):
        section: LoopConfig | None = getattr(config, name)
        if name in to_do and section is not None:
            held = sum(path.stat().st_size for path in (output / name).rglob("*.safetensors"))
            size, states = state_bytes(config, name), section.keep + 1  # the new one is written before one is deleted
            what = f"{states} states of {name} of {_shown(size)} each ({name}.keep)"
            needs.append((output, what, max(states * size - held, 0)))
    for place in {_disk(path) for path, _, _ in needs}:
        here = [(what, size) for path, what, size in needs if _disk(path) == place]
        wanted, free = sum(size for _, size in here), shutil.disk_usage(_existing(_first(needs, place))).free
        if wanted > free:
            listed = ", ".join(f"{_shown(size)} for {what}" for what, size in here)
            raise ConfigError(
                f"disk of {_first(needs, place)}: got {_shown(free)} free, expected {_shown(wanted)}: {listed}"
            )


def state_bytes(config: TrainConfig, stage: str) -> int:
    """Bytes of one training state of the stage fit or lit: what learns, its moments, the average, the class centres."""
    settings: LoopConfig | None = getattr(config, stage)
    assert settings is not None
    model = _empty_model(config)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if stage == "lit" and config.lit is not None:
        shape = model.config.model_copy(update={"text": config.lit.text})
        with torch.device("meta"):
            text = DualEncoder(shape).text
        assert text is not None
        learned = sum(p.numel() for p in text.parameters())
    size = learned * FLOAT * (COPIES + (settings.ema is not None))
    if stage == "fit":
        dim = config.model.embed_dim or config.model.vision.width
        size += num_classes(config).total() * (dim * COPIES + 1) * FLOAT
    return size


def check_reader(config: TrainConfig) -> None:
    """Raise ConfigError if labels are words in images, and the reader of words is not installed."""
    if any(labels.labels == "ocr" for labels in label_sets(config).values()):
        reader()


def check_regions(config: TrainConfig, split: TrainSplit) -> None:
    """Raise DataError for a file of regions that cannot be read, or that is of other images."""
    objective = config.fit.objective
    if not isinstance(objective, Rice):
        return
    regions = RegionFile(objective.regions)
    first = list(islice((sample for shard in split.shards for sample in shard.samples()), LOOKED_AT))
    known = [sample for sample in first if sample.key in regions]
    if not known:
        raise DataError(
            f"{objective.regions}: none of its {len(regions):,} keys is of the first images of {split.dataset}, "
            f"expected keys such as {first[0].key!r}"
        )
    for sample in known:
        got, size = regions.size_of(sample.key), decode(sample.image, sample.key).size
        if got != size:
            raise DataError(
                f"{objective.regions}: {sample.key!r} is of {got[0]} x {got[1]} pixels, expected the image's "
                f"{size[0]} x {size[1]}"
            )


def label_sets(config: TrainConfig) -> dict[str, LabelConfig]:
    """The sets of labels of a config, by name."""
    return config.assign.sets if config.assign is not None else {}


def num_classes(config: TrainConfig) -> Counter[str]:
    """The number of classes of each set of labels, as far as the config says it."""
    sets = label_sets(config).items()
    clusters = config.cluster.k if config.cluster is not None else 0
    return Counter({n: labels.vocabulary or 0 if labels.nearest is None else clusters for n, labels in sets})


def check_frozen(config: TrainConfig) -> None:
    """Raise ConfigError for patterns of fit.freeze that do not fit the model."""
    _empty_model(config)


def _empty_model(config: TrainConfig) -> DualEncoder:
    """The model that fit trains, without memory, and with what does not learn."""
    with torch.device("meta"):
        model = DualEncoder(checkpoint_config(config.model, {}))
    freeze(model, config.fit.freeze)
    return model


def _shown(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 100 else f"{size / 1024:,.0f} KiB"


def _existing(path: Path) -> Path:
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _disk(path: Path) -> int:
    return _existing(path).stat().st_dev


def _first(needs: list[tuple[Path, str, int]], disk: int) -> Path:
    return next(path for path, _, _ in needs if _disk(path) == disk)
