"""Training state on disk: all that is needed to resume as if nothing had happened, on any number of ranks.

A state is a folder step_0000100 with model.safetensors, or a folder model (weights, optimizer moments, weight average),
one file of class centres per rank, and state.json. It gets its name when all ranks have written, so that it is complete
or absent. It holds no pickles.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from mlcd_eval.encoders.towers.vit import resized_positions
from mlcd_eval.encoders.weights import write_tensors
from mlcd_eval.errors import CheckpointError
from mlcd_eval.support.distributed import barrier, gather_objects, rank, side_group
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_text
from mlcd_train import row_files
from mlcd_train.class_rows import ClassRows
from mlcd_train.data.batches import Positions
from mlcd_train.optimizer import WeightAverage
from mlcd_train.sharding import set_to
from mlcd_train.start import POSITIONS
from mlcd_train.state_files import StateTensors, write_sharded, write_whole

FORMAT_VERSION = 1
KEYS = {"config", "step", "positions", "scaler"}
DAMAGE = (SafetensorError, OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError)
"""What files of a state raise that are not as they were written."""


@dataclass(frozen=True)
class Contents:
    """A rank's part of a state, on the host. tensors: of the model and the optimizer; only rank 0 has them unless they
    are sharded. rows: this rank's files of class rows, by their names."""

    document: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    sharded: bool
    rows: Mapping[str, Mapping[str, Tensor]]

    def write(self, folder: Path, keep: int, wait: Callable[[], None], group: Any) -> None:
        """Write it, and delete all states but the last `keep`. Every rank calls it. wait: for all ranks, which is done
        by messages in `group`."""
        place = folder / f"step_{self.document['step']:07d}"
        temporary = folder / f".{place.name}.tmp"
        if rank() == 0:
            for unfinished in folder.glob(".step_*.tmp"):  # of a run that was stopped while writing
                shutil.rmtree(unfinished)
            temporary.mkdir(parents=True)
        wait()
        try:
            self._write(temporary, group)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        wait()
        if rank() == 0:
            shutil.rmtree(place, ignore_errors=True)
            temporary.rename(place)
            for old in sorted(folder.glob("step_*"))[:-keep]:
                shutil.rmtree(old)
        wait()

    def _write(self, place: Path, group: Any) -> None:
        for name, rows in self.rows.items():
            write_tensors(place / name, rows)
        if self.sharded:
            write_sharded(place, self.tensors, group)
        elif rank() == 0:
            write_whole(place, self.tensors)
        if rank() == 0:
            write_text(place / "state.json", json.dumps(self.document, indent=2))


def _copy(tensor: Tensor) -> Tensor:
    """A copy on the host."""
    return tensor.detach().to("cpu", copy=True)


@dataclass
class TrainingState:
    """Everything that changes while training. parameters: those that the optimizer moves, with their names. sharded:
    whether states are written as sharded tensors are."""

    parameters: list[tuple[str, nn.Parameter]]
    optimizer: torch.optim.AdamW
    average: WeightAverage | None
    centres: Mapping[str, ClassRows]
    scaler: torch.amp.GradScaler
    step: int = 0
    positions: Positions | None = None
    sharded: bool = False

    def save(self, folder: Path, config: str, keep: int) -> None:
        """Write this step's state to `folder` and delete all but the last `keep`. Every rank calls it.

        config: digest of what must be the same to resume.
        """
        self.contents(config).write(folder, keep, barrier, side_group())

    def contents(self, config: str) -> Contents:
        """This rank's part of the state, copied to the host's memory. Every rank calls it."""
        rows = {
            row_files.file_of(name, centres): {key: _copy(part) for key, part in row_files.tensors_of(centres).items()}
            for name, centres in self.centres.items()
        }
        positions = {stream: at for part in gather_objects(dict(self.positions or {})) for stream, at in part.items()}
        document = {
            "format_version": FORMAT_VERSION,
            "config": config,
            "step": self.step,
            "positions": {str(stream): list(at) for stream, at in positions.items()},
            "scaler": self.scaler.state_dict(),
            "vocabularies": {name: centres.vocabulary for name, centres in self.centres.items()},
        }
        tensors = self._tensors() if self.sharded or rank() == 0 else {}
        copies = {name: _copy(tensor) for name, tensor in tensors.items()}
        return Contents(document, copies, self.sharded, rows)

    def load(self, folder: Path, config: str) -> bool:
        """Resume from the last state in `folder`; False if there is none.

        Raises CheckpointError for a damaged state, and for one of another config.
        """
        places = sorted(folder.glob("step_*/state.json"))
        if not places:
            return False
        place = places[-1].parent
        document = read_document(place)
        if document.get("config") != config:
            raise CheckpointError(
                f"{place} is of another config than this one: expected the same data, model, objective and schedule "
                f"(choose another output folder, or delete {folder})"
            )
        self._check_vocabularies(place, document.get("vocabularies", {}))
        try:
            self._restore(StateTensors(place))
            for name, centres in self.centres.items():
                row_files.restore(place, name, centres)
            self.step = int(document["step"])
            positions = document["positions"].items()
            self.positions = {int(stream): (int(passes), int(taken)) for stream, (passes, taken) in positions}
            if document["scaler"]:
                self.scaler.load_state_dict(document["scaler"])
        except DAMAGE as error:
            raise CheckpointError(f"{place} is damaged: {error}") from error
        return True

    def _check_vocabularies(self, place: Path, written: Mapping[str, str]) -> None:
        """Raise CheckpointError where the classes of a state are not those of now, which a new reader of words, or
        other label files, may have made."""
        for name, centres in self.centres.items():
            if written.get(name, centres.vocabulary) != centres.vocabulary:
                raise CheckpointError(
                    f"{place}: the classes of {name} are of another vocabulary than the labels: got "
                    f"{written[name][:12]}, expected {centres.vocabulary[:12]} (choose another output folder)"
                )

    def begin_from(self, place: Path) -> list[str]:
        """Take weights, moments and class centres from the state of another training, as far as they fit; positions of
        patches are interpolated. Step, data position and loss scale start anew. Return the names of what did not fit.

        Raises CheckpointError for a damaged state.
        """
        read_document(place)
        try:
            tensors = StateTensors(place)
            missing = [name for name, parameter in self.parameters if not self._begin(name, parameter, tensors)]
            for name, centres in self.centres.items():
                if row_files.fits(place, name, centres):
                    row_files.restore(place, name, centres)
                else:
                    missing.append("class centres" if name == row_files.CENTRES else f"class {name}")
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{place} is damaged: {error}") from error
        if self.average is not None:
            self.average.restart()
        return missing

    @torch.no_grad()
    def _begin(self, name: str, parameter: nn.Parameter, tensors: Mapping[str, Tensor]) -> bool:
        """Set a parameter and its moments; False if the tensors have none of that shape."""
        value = tensors.get(f"model.{name}")
        if value is not None and name == POSITIONS:
            side = round((len(parameter) - 1) ** 0.5)
            value = resized_positions(value, (side, side))
        if value is None or value.shape != parameter.shape:
            return False
        set_to(parameter, value)
        moments = {key: tensors.get(f"optimizer.{key}.{name}") for key in ("exp_avg", "exp_avg_sq", "step")}
        kept = {key: tensor for key, tensor in moments.items() if tensor is not None}
        if len(kept) == 3 and kept["exp_avg"].shape == parameter.shape:
            self.optimizer.state[parameter] = self._moved(kept, parameter)
        return True

    def _moved(self, moments: Mapping[str, Tensor], parameter: nn.Parameter) -> dict[str, Tensor]:
        """Moments where the optimizer wants them: the number of steps is on the device if it is fused."""
        steps = moments["step"].to(parameter.device if self.optimizer.defaults["fused"] else "cpu")
        moved = {"step": steps}
        for key in ("exp_avg", "exp_avg_sq"):
            moved[key] = torch.zeros_like(parameter, requires_grad=False)
            set_to(moved[key], moments[key])
        return moved

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"model.{name}": p.detach() for name, p in self.parameters}
        for name, parameter in self.parameters:
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.weights.items()}
        return tensors

    @torch.no_grad()
    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        names, stepped = set(tensors), any(name.startswith("optimizer.") for name in tensors)
        for name, parameter in self.parameters:
            set_to(parameter, tensors[f"model.{name}"])
            moments = {key: f"optimizer.{key}.{name}" for key in ("exp_avg", "exp_avg_sq", "step")}
            # without any, it had no gradient where others have moments, or fp16 has skipped every step so far
            if not names.isdisjoint(moments.values()) or not (stepped or self.scaler.is_enabled()):
                moved = self._moved({key: tensors[of_key] for key, of_key in moments.items()}, parameter)
                self.optimizer.state[parameter] = moved
            if self.average is not None:
                set_to(self.average.weights[name], tensors[f"average.{name}"])


def newest_state(path: Path) -> Path:
    """The state that a path means: a state, the last one of a folder of states, or of a stage's folder. Raises
    CheckpointError without one."""
    for place in (path, *sorted(path.glob("step_*"), reverse=True), *sorted(path.glob("state/step_*"), reverse=True)):
        if (place / "state.json").is_file():
            return place
    raise CheckpointError(f"{path} holds no training state: expected a folder such as OUTPUT/fit/state/step_0001000")


def read_document(place: Path) -> dict[str, Any]:
    """The contents of a state's state.json; raises CheckpointError if it is none."""
    try:
        document = read_json(place / "state.json")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{place}/state.json cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("format_version") != FORMAT_VERSION or KEYS - set(document):
        raise CheckpointError(
            f"{place}/state.json is not a training state: expected format_version {FORMAT_VERSION} and "
            f"{', '.join(sorted(KEYS))}"
        )
    return document
