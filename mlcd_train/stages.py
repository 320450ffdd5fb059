"""A training run: its stages, what each is made of, and which are done.

A stage leaves done.json in its folder with the settings that it depends on. The same settings: it is skipped. Others:
the run stops before anything is done, and nothing is overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import Dataset, Split
from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint, save_checkpoint
from mlcd_eval.encoders.registry import check_spec, load_encoder, parse
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.features.encode import EncodeOptions
from mlcd_eval.features.workers import default_workers
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.request import RunRequest, default_cache
from mlcd_eval.spec import validated
from mlcd_eval.support.distributed import barrier, rank, world_size
from mlcd_eval.support.fileio import check_writable
from mlcd_eval.support.progress import Progress
from mlcd_train.assignment import Labels, centres_fingerprint, load_labels, nearest_centres, save_labels
from mlcd_train.clustering import load_centres, save_centres, spherical_kmeans
from mlcd_train.config import STAGES, EvaluateConfig, TrainConfig, digest
from mlcd_train.data import Share, check_captions, check_streams
from mlcd_train.embed import embed, read_embedding
from mlcd_train.fit import fit
from mlcd_train.lit import lit
from mlcd_train.stage_state import is_done, write_stage_state

LOOKS_ONLY = {"save_every", "keep", "log_every", "evaluate", "compile", "activation_checkpointing", "accumulation"}
"""Keys of fit and lit that change no weight, but for the order of sums."""


@dataclass
class TrainingRun:
    """A config at work on this rank's device. Stages are methods; `run` calls those that the config has."""

    config: TrainConfig
    device: torch.device
    progress: Progress

    @property
    def stages(self) -> list[str]:
        """Those of the config, in order."""
        return [stage for stage in STAGES if stage == "export" or getattr(self.config, stage) is not None]

    @property
    def checkpoint(self) -> Path:
        """The folder that mlcd-eval loads."""
        return self.config.output / self.config.name

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the output folder to this run; raises ConfigError while another one, killed ones aside, has it."""
        if rank() != 0:
            yield
            return
        check_writable(self.config.output)
        lock = FileLock(self.config.output / ".lock", timeout=0)
        try:
            held = lock.acquire()
        except Timeout as error:
            raise ConfigError(f"output: another mlcd-train is at work in {self.config.output}") from error
        with held:
            yield

    def run(self, stages: Sequence[str] | None = None) -> None:
        """Stages of the config, by default all, skipping what is done. Nothing is written before all is checked."""
        stages = self.stages if stages is None else stages
        self.check(stages)
        with self._alone():
            for stage in stages:
                self.run_stage(stage)

    def run_stage(self, stage: str) -> None:
        """One stage, unless it is done; raises ConfigError where a stage before it is not."""
        for before in self.stages[: self.stages.index(stage)]:
            if not self._done(before):
                raise ConfigError(
                    f"{stage}: {before} is not done in {self.config.output} (run `mlcd-train {before}`, or `run`)"
                )
        if self._done(stage):
            self.progress.say(f"{stage}: done before")
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
        for section in (config.fit, config.lit):
            if section is not None:
                Share(section.batch_size, 0, world_size() * section.accumulation)
                check_streams(self.split, config.data, section.batch_size)
                _check_evaluation(section.evaluate)
                if section.compile and self.device.type == "cpu":
                    _check_compiler()
        if config.embed is not None:
            check_spec(config.embed.model)
        if config.fit.objective == "clip":
            check_captions(self.dataset, "fit.objective clip")
        if config.lit is not None:
            check_captions(self.dataset, "lit")
        if config.embed is not None and config.embed.source != "image":
            check_captions(self.dataset, f"embed.source {config.embed.source}")
        size = self.split.scan().num_samples
        if size is None:
            raise DataError(
                f"data.train: {config.data.train} does not say how many samples it holds, expected a local copy"
            )
        if config.cluster is not None and config.cluster.k > size:
            raise ConfigError(f"cluster.k: got {config.cluster.k}, expected at most {size}, the number of images")
        for stage in stages:
            self._done(stage)

    @cached_property
    def dataset(self) -> Dataset:
        """The training data, opened."""
        return open_dataset(self.config.data.train, cache=self._cache)

    @cached_property
    def split(self) -> Split:
        """Its training split."""
        return self.dataset.split(self.config.data.split)

    @property
    def _cache(self) -> Path:
        return self.config.cache or default_cache()

    def _folder(self, stage: str) -> Path:
        return self.checkpoint if stage == "export" else self.config.output / stage

    def settings(self, stage: str) -> dict[str, Any]:
        """What a stage's result depends on, the stages before it by their digest."""
        config, data = self.config, self.split.scan().fingerprint
        if stage == "embed":
            assert config.embed is not None
            own = config.embed.model_dump(mode="json", exclude={"model", "batch_size"})
            return {"data": data, "model": self._weights or config.embed.model, **own}
        if stage == "cluster":
            assert config.cluster is not None
            return {"embed": digest(self.settings("embed")), "seed": config.seed, **config.cluster.model_dump()}
        if stage == "assign":
            assert config.assign is not None
            return {"cluster": digest(self.settings("cluster")), **config.assign.model_dump()}
        if stage == "fit":
            before = digest(self.settings("assign")) if config.assign else data
            reads = config.data.model_copy(update={"allow_bad_images": 0})  # to bear more changes no step that is done
            reading = reads.model_dump(mode="json", exclude={"train", "split", "workers"})
            model = config.model.model_dump(mode="json")
            own = config.fit.model_dump(mode="json", exclude=LOOKS_ONLY)
            return {"before": before, "seed": config.seed, "reading": reading, "model": model, **own}
        if stage == "lit":
            assert config.lit is not None
            return {"fit": digest(self.settings("fit")), **config.lit.model_dump(mode="json", exclude=LOOKS_ONLY)}
        return {"before": digest(self.settings("lit" if config.lit else "fit"))}

    @cached_property
    def _weights(self) -> str | None:
        """Identity of a local off-the-shelf checkpoint, which may have moved, or been trained anew under its name."""
        assert self.config.embed is not None
        path = Path(parse(self.config.embed.model).target.removeprefix("local-dir:")).expanduser()
        files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path] if path.is_file() else []
        return digest([[file.name, _sha256(file)] for file in files]) if files else None

    def _done(self, stage: str) -> bool:
        """Whether a stage's result is there; raises ConfigError where it was made by other settings."""
        return is_done(self._folder(stage), self.settings(stage))

    def _embed(self) -> None:
        config = self.config.embed
        assert config is not None
        encoder = load_encoder(config.model).to(self.device, config.precision)
        options = self._encode_options(config.precision, config.batch_size)
        embed(self._folder("embed"), encoder, self.split, config, options, self.progress)

    def _encode_options(self, precision: str, batch_size: int | None) -> EncodeOptions:
        workers = max(self.config.data.workers, default_workers(self.device))
        return EncodeOptions(
            self._cache, precision, batch_size, workers, allow_bad_images=self.config.data.allow_bad_images
        )

    def _cluster(self) -> None:
        config = self.config.cluster
        assert config is not None
        features = read_embedding(self._folder("embed")).features
        mine = slice(rank() * len(features) // world_size(), (rank() + 1) * len(features) // world_size())
        generator = torch.Generator().manual_seed(self.config.seed)
        with self.progress.stage(f"k-means, k = {config.k:,}", config.iterations, "iterations") as advance:
            found = spherical_kmeans(
                features[mine],
                config.k,
                generator,
                iterations=config.iterations,
                tolerance=config.tolerance,
                start=config.start,
                batch=config.batch,
                device=str(self.device),
                advance=advance,
            )
        if rank() == 0:
            self.progress.say(
                f"cluster: mean of 1 - cosine {found.inertia[0]:.4f} at first, {found.inertia[-1]:.4f} at last"
            )
            save_centres(self._centres_path, found.centres)

    def _assign(self) -> None:
        config = self.config.assign
        assert config is not None
        if rank() == 0:
            embedding = read_embedding(self._folder("embed"))
            centres = load_centres(self._centres_path).to(self.device)
            classes, similarities = nearest_centres(embedding.features, centres, config.labels, config.threshold)
            labels = Labels(
                embedding.keys,
                classes,
                similarities,
                len(centres),
                embedding.dataset,
                centres_fingerprint(centres),
            )
            save_labels(self._folder("assign") / "labels.safetensors", labels)
            self.progress.say(
                f"assign: {float((classes >= 0).float().sum(dim=1).mean()):.1f} labels an image, mean cosine "
                f"{float(similarities[classes >= 0].mean()):.3f}"
            )

    @property
    def _centres_path(self) -> Path:
        return self._folder("cluster") / "centres.safetensors"

    def _fit(self) -> None:
        labels = centres = None
        if self.config.assign is not None:
            path = self._folder("assign") / "labels.safetensors"
            labels = load_labels(path, dataset=self.split.scan().fingerprint)
            centres = load_centres(self._centres_path) if self.config.fit.centres == "clusters" else None
        identity = digest(self.settings("fit"))
        model = fit(self.config, self.split, labels, centres, self._folder("fit"), identity, self.device, self.progress)
        if rank() == 0:
            save_checkpoint(self._folder("fit") / "model", model)

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


def _check_evaluation(config: EvaluateConfig | None) -> None:
    """Raise ConfigError for tasks that could not be evaluated later, of whatever model."""
    if config is not None:
        request = {"models": ("python:any:model",), "tasks": config.tasks, "data_root": config.data_root}
        make_plan(validated(RunRequest, request, "evaluate")).raise_problems()


def _check_compiler() -> None:
    """Raise ConfigError where torch.compile would look in vain for the C++ compiler that it needs on a CPU."""
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
    if not any(map(shutil.which, names)):
        raise ConfigError(f"compile: true needs a C++ compiler, got none of {', '.join(names)} (or set compile: false)")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
