"""The tensors of a training state on disk: one file, or, if they are sharded, a folder to which each rank adds a file.

The folder is written and read by torch.distributed.checkpoint in its safetensors format, which holds no pickles; it is
imported only where it is needed, since that takes half a second.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from mlcd_eval.encoders.weights import write_tensors
from mlcd_eval.errors import ConfigError
from mlcd_eval.support.distributed import parallel

FILE, FOLDER = "model.safetensors", "model"


def check_sharding() -> None:
    """Raise ConfigError where PyTorch cannot write sharded states."""
    import torch.distributed.checkpoint as dcp

    if not hasattr(dcp, "HuggingFaceStorageWriter"):
        raise ConfigError(f"fit.shard: fsdp needs torch 2.9 or later, got {torch.__version__}")


def write_whole(place: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the tensors of a state that rank 0 has."""
    write_tensors(place / FILE, tensors)


def write_sharded(place: Path, tensors: Mapping[str, Tensor], group: Any) -> None:
    """Write the tensors of a state, each rank its part. group: of processes, for messages on the host."""
    import torch.distributed.checkpoint as dcp

    (place / FOLDER).mkdir(exist_ok=True)
    writer = dcp.HuggingFaceStorageWriter(str(place / FOLDER), save_distributed=True)
    with _quiet():
        dcp.save(dict(tensors), storage_writer=writer, process_group=group, no_dist=not parallel())


def files(place: Path) -> list[Path]:
    """The files that hold a state's tensors."""
    return [place / FILE] if (place / FILE).is_file() else sorted((place / FOLDER).glob("*.safetensors"))


class StateTensors(Mapping[str, Tensor]):
    """A state's tensors by name, each whole and read when it is asked for, on the host. Raises OSError, ValueError or
    SafetensorError for files that are missing or damaged."""

    def __init__(self, place: Path) -> None:
        self._file: Any = None
        if (place / FILE).is_file():
            self._file = safe_open(place / FILE, framework="pt")
            self._names = list(self._file.keys())
        else:
            import torch.distributed.checkpoint as dcp

            self._reader = dcp.HuggingFaceStorageReader(str(place / FOLDER))
            metadata: Any = self._reader.read_metadata()
            self._about = metadata.state_dict_metadata
            self._names = list(self._about)
            for name, about in self._about.items():
                if sum(math.prod(chunk.sizes) for chunk in about.chunks) != math.prod(about.size):
                    raise ValueError(f"a part of {name} is missing")

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        if self._file is not None:
            return self._file.get_tensor(name)
        import torch.distributed.checkpoint as dcp

        about = self._about[name]
        read = {name: torch.empty(about.size, dtype=about.properties.dtype)}
        with _quiet():
            try:
                dcp.load(read, storage_reader=self._reader, no_dist=True)
            except dcp.CheckpointException as error:
                raise ValueError(f"{name} cannot be read: {error}") from error
        return read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remark that a single process saves or loads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*single process.*")
        yield
