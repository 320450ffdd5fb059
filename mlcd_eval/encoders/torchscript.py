"""The tensors of a TorchScript archive, such as OpenAI's release files of CLIP, read without running it.

`torch.jit.load` compiles the archive's code, which may read and write files. Here its pickle may name only tensors,
containers and the archive's own classes, which become plain objects; the tensors' numbers are read from the records.
Layout: torch/csrc/jit/docs/serialization.md of PyTorch.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from mlcd_eval.errors import CheckpointError

MOST_INFLATED = 64 * 2**20  # bytes: PyTorch compresses code and the pickle of modules, never tensors

_DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Module:
    """A module of the archive: its attributes are tensors, plain values and further modules."""


def is_torchscript(path: Path) -> bool:
    """Whether a file is a zip with TorchScript's record of constants."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(map(_is_constants, archive.namelist()))


def _is_constants(name: str) -> bool:
    return name.endswith("/constants.pkl")


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of an archive by their names, as `torch.jit.load(path).state_dict()` would name them, on the CPU.

    Raises CheckpointError for an archive that names anything but tensors and its own classes, or is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name.removesuffix("/constants.pkl") for name in archive.namelist() if _is_constants(name))
        try:
            return dict(_tensors(_Unpickler(archive, root).load()))
        except Exception as error:  # damaged bytes make the unpickler raise anything
            raise CheckpointError(f"{path} is not a TorchScript archive of tensors, or damaged: {error}") from error


class _Unpickler(pickle._Unpickler):
    """Only what `find_class` returns can be called. The C unpickler would trust the sizes in a damaged file."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root
        super().__init__(io.BytesIO(self._read("data.pkl")))
        self._storages: dict[str, torch.Tensor] = {}

    def _read(self, record: str) -> bytes:
        """A record's bytes; one that inflates to more than MOST_INFLATED is refused."""
        entry = self._archive.getinfo(f"{self._root}/{record}")
        if entry.compress_type != zipfile.ZIP_STORED and entry.file_size > MOST_INFLATED:
            raise pickle.UnpicklingError(f"{record} is compressed, expected it as PyTorch writes it")
        return self._archive.read(entry)

    def find_class(self, module: str, name: str) -> Any:
        """The archive's classes, tensors, ordered dicts and typed lists; refuse the rest."""
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name in _DTYPES:
            return name
        allowed = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
            ("collections", "OrderedDict"): collections.OrderedDict,
            **{("torch.jit._pickle", f"build_{kind}list"): list for kind in ("int", "double", "bool", "tensor")},
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """The numbers of a storage, as a flat tensor: pid is ("storage", type, record, device, count)."""
        _, kind, record, _, count = pid
        if record not in self._storages:
            dtype = _DTYPES[kind]
            content = bytearray(self._read(f"data/{record}"))
            self._storages[record] = torch.frombuffer(content, dtype=dtype, count=count) if count else torch.empty(0)
        return self._storages[record]


def _rebuilt(storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    """A tensor from its storage; PyTorch refuses what would lie outside."""
    return torch.as_strided(storage, size, stride, offset) if math.prod(size) else torch.empty(size)


def _tensors(root: object) -> list[tuple[str, torch.Tensor]]:
    tensors, pending = [], [("", root, frozenset[int]())]
    while pending:
        path, value, above = pending.pop()
        if isinstance(value, torch.Tensor):
            tensors.append((path, value))
        elif isinstance(value, _Module):
            if id(value) in above:
                raise ValueError(f"{path} contains itself")
            prefix = f"{path}." if path else ""
            pending += [(prefix + name, part, above | {id(value)}) for name, part in vars(value).items()]
    return tensors
