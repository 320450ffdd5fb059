"""A training run: its stages, in order, each of which is run once.

A finished stage leaves done.json in its folder with the settings that its result depends on. If they are the config's,
the stage is skipped; if not, the run stops before it does anything, and nothing is overwritten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint, save_checkpoint
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.registry import check_spec, load_encoder
from mlcd_eval.errors import ConfigError
from mlcd_eval.features.encode import EncodeOptions
from mlcd_eval.features.workers import default_workers
from mlcd_eval.request import default_cache
from mlcd_eval.support.distributed import barrier, rank, world_size
from mlcd_eval.support.fileio import check_writable, write_json
from mlcd_eval.support.progress import Progress
from mlcd_train import checks
from mlcd_train.clustering import load_centres, save_centres, spherical_kmeans
from mlcd_train.config import STAGES, TrainConfig
from mlcd_train.data.decoders import check_decoder
from mlcd_train.data.source import TrainSplit, check_captions, check_shard_cache, check_tolerance, open_training_data
from mlcd_train.embed import check_encoder, embed, read_embedding
from mlcd_train.fit import fit
from mlcd_train.labels import LabelFiles, label_images
from mlcd_train.lit import lit
from mlcd_train.origin import SETTINGS, origin, weights_of
from mlcd_train.own_labels import label_by_names
from mlcd_train.products import products_on
from mlcd_train.sections import LabelConfig
from mlcd_train.stage_state import digest, is_done, stage_settings, write_stage_state
from mlcd_train.start import Start, read_start


@dataclass
class TrainingRun:
    """The run of a config on this rank's device. Stages are methods; `run` calls those that the config has."""

    config: TrainConfig
    device: torch.device
    progress: Progress

    @property
    def stages(self) -> list[str]:
        """The stages of the config, in order."""
        return [stage for stage in STAGES if stage == "export" or getattr(self.config, stage) is not None]

    @property
    def checkpoint(self) -> Path:
        """The folder that mlcd-eval loads."""
        return self.config.output / self.config.name

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the output folder; raises ConfigError while another run holds it. A killed run holds no lock."""
        if rank() != 0:
            yield
            return
        check_writable(self.config.output)
        lock = FileLock(self.config.output / ".lock", timeout=0)
        try:
            acquired = lock.acquire()
        except Timeout as error:
            raise ConfigError(f"output: another mlcd-train is running in {self.config.output}") from error
        with acquired:
            yield

    def run(self, stages: Sequence[str] | None = None) -> None:
        """Run stages of the config, by default all, skipping what is done. Nothing is written before all is checked."""
        stages = self.stages if stages is None else stages
        self.check(stages)
        with self._alone():
            for stage in stages:
                self.run_stage(stage)

    def run_stage(self, stage: str) -> None:
        """Run one stage unless it is done; raises ConfigError if a stage before it is not done."""
        for before in self.stages[: self.stages.index(stage)]:
            if not self._done(before):
                raise ConfigError(
                    f"{stage}: {before} is not done in {self.config.output} (run `mlcd-train {before}`, or `run`)"
                )
        if self._done(stage):
            self.progress.say(f"{stage}: already done")
            return
        barrier()
        work: Callable[[], None] = getattr(self, f"_{stage}")
        work()
        barrier()
        if rank() == 0:
            write_stage_state(self._folder(stage), self.settings(stage))
        barrier()

    def check(self, stages: Sequence[str]) -> None:
        """Everything that can be seen before the first expensive step; raises UserError."""
        config = self.config
        for stage in stages:
            if stage not in self.stages:
                known = ", ".join(self.stages)
                raise ConfigError(f"{stage}: the config has no section {stage}, expected one of {known}")
        check_writable(self._cache)
        check_decoder(config.data.decoder)
        products_on(self.device, config.products)
        for name, section in (("fit", config.fit), ("lit", config.lit)):
            if section is not None:
                checks.check_loop(name, section, config, self.split, self.device)
        if config.embed is not None:
            check_spec(config.embed.model)
        for reader in checks.caption_readers(config)[:1]:
            check_captions(self.split, reader)
        check_tolerance(self.split, config.data)
        check_shard_cache(self.split, config.data)
        checks.check_clusters(config, self.split)
        checks.check_label_files(config)
        checks.check_regions(config, self.split)
        to_do = [stage for stage in stages if not self._done(stage)]
        if "assign" in to_do:
            checks.check_reader(config)
        if "fit" in to_do:
            checks.check_frozen(config)
            _ = self._origin
        dim = self._dimension(to_do)
        if dim is not None:
            checks.check_dimension(config, dim)
        stored = "embed" in to_do and checks.has_features(self._cache, self._encoder, config, self.split)
        checks.check_disk(config, self.split, to_do, dim, self._cache, stored)

    def _dimension(self, to_do: Sequence[str]) -> int | None:
        """The dimension of the features that are to be computed, or that class centres are to start from."""
        config = self.config.embed
        if config is not None and "embed" in to_do:
            return check_encoder(self._encoder, config)
        if "fit" in to_do and checks.starts_at_clusters(self.config) and self._done("embed"):
            return read_embedding(self._folder("embed")).features.shape[1]
        return None

    @cached_property
    def split(self) -> TrainSplit:
        """The training data, opened and scanned by all ranks together."""
        split = open_training_data(
            self.config.data, self._cache, bool(checks.caption_readers(self.config)), self.progress
        )
        if split.without_caption:
            effect = "left out" if split.captions else "which nothing in this run reads"
            self.progress.say(f"data: {split.without_caption:,} of {split.size:,} samples have no caption, {effect}")
        return split

    @property
    def _cache(self) -> Path:
        return self.config.cache or default_cache()

    def _folder(self, stage: str) -> Path:
        return self.checkpoint if stage == "export" else self.config.output / stage

    def settings(self, stage: str) -> dict[str, Any]:
        """What a stage's result depends on."""
        return stage_settings(self.config, stage, self.split.scan().fingerprint, self._weights)

    @cached_property
    def _weights(self) -> dict[str, str]:
        """Identity of the local files that the config names."""
        return weights_of(self.config)

    @cached_property
    def _start(self) -> Start | None:
        """The weights of model.init; raises ConfigError if they do not fit."""
        return None if self.config.model.init is None else read_start(self.config.model)

    @cached_property
    def _origin(self) -> dict[str, str]:
        """Provenance of what fit starts from."""
        return origin(self.config, self.settings("fit"), self._weights, self._start)

    def _done(self, stage: str) -> bool:
        """Whether a stage's result is there; raises ConfigError if other settings made it."""
        return is_done(self._folder(stage), self.settings(stage))

    def _embed(self) -> None:
        config = self.config.embed
        assert config is not None
        encoder = self._encoder.to(self.device, config.precision)
        del self._encoder  # its memory is free when this stage ends
        options = self._encode_options(config.precision, config.batch_size)
        embed(self._folder("embed"), encoder, self.split, config, options, self.progress)

    @cached_property
    def _encoder(self) -> Encoder:
        """The model of off-the-shelf features."""
        assert self.config.embed is not None
        return load_encoder(self.config.embed.model)

    def _encode_options(self, precision: str, batch_size: int | None) -> EncodeOptions:
        workers = max(self.config.data.workers, default_workers(self.device))
        tolerated = int(self.config.data.allow_bad * self.split.size)
        return EncodeOptions(
            self._cache,
            precision,
            batch_size,
            workers,
            allow_bad_images=tolerated,
            tolerance_setting=f"data.allow_bad: {self.config.data.allow_bad:g}",
        )

    def _cluster(self) -> None:
        config = self.config.cluster
        assert config is not None
        features = read_embedding(self._folder("embed")).features
        mine = slice(rank() * len(features) // world_size(), (rank() + 1) * len(features) // world_size())
        generator = torch.Generator().manual_seed(self.config.seed)
        with self.progress.stage(f"k-means, k = {config.k:,}", config.iterations, "iterations") as advance:
            clusters = spherical_kmeans(
                features[mine],
                config.k,
                generator,
                iterations=config.iterations,
                tolerance=config.tolerance,
                start=config.start,
                batch=config.batch,
                device=str(self.device),
                products=products_on(self.device, self.config.products),
                search=config.search,
                advance=advance,
            )
        if rank() == 0:
            self.progress.say(
                f"cluster: mean of 1 - cosine {clusters.inertia[0]:.4f} at first, {clusters.inertia[-1]:.4f} at last"
            )
            save_centres(self._centres_path, clusters.centres)

    def _assign(self) -> None:
        assert self.config.assign is not None
        for name, labels in self.config.assign.sets.items():
            self._assign_labels(self._folder("assign") / name, labels)

    def _assign_labels(self, folder: Path, config: LabelConfig) -> None:
        """Write one set of labels."""
        if config.nearest is None:
            label_by_names(folder, self.split, config, self.progress)
            return
        embedding = read_embedding(self._folder("embed"))
        centres = load_centres(self._centres_path).to(self.device)
        products = products_on(self.device, self.config.products)
        label_images(
            folder, embedding.keys, embedding.features, embedding.dataset, centres, config, products, self.progress
        )

    @property
    def _centres_path(self) -> Path:
        return self._folder("cluster") / "centres.safetensors"

    def _fit(self) -> None:
        settings = self.settings("fit")
        if rank() == 0:
            write_json(self._folder("fit") / SETTINGS, settings)
        model = fit(
            self.config,
            self.split,
            self._read_labels,
            lambda: load_centres(self._centres_path),
            self._folder("fit"),
            digest(settings),
            self.device,
            self.progress,
            self._origin,
            self._start,
        )
        if rank() == 0:
            save_checkpoint(self._folder("fit") / "model", model)

    def _read_labels(self, name: str) -> LabelFiles:
        return LabelFiles(self._folder("assign") / name, dataset=self.split.scan().fingerprint)

    def _lit(self) -> None:
        image_tower = load_checkpoint(self._folder("fit") / "model")
        options = self._encode_options("fp32", None)
        identity = digest(self.settings("lit"))
        model = lit(
            self.config, self.split, image_tower, options, self._folder("lit"), identity, self.device, self.progress
        )
        if rank() == 0:
            save_checkpoint(self._folder("lit") / "model", model)

    def _export(self) -> None:
        last = self._folder("lit" if self.config.lit else "fit")
        if rank() == 0:
            save_checkpoint(self.checkpoint, load_checkpoint(last / "model"))
            self.progress.say(f"checkpoint: {self.checkpoint}")
