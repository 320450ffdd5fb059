"""How many weights an ONNX file has, read from its protobuf fields, since ONNX Runtime does not show them.

Field numbers are those of onnx.proto: ModelProto.graph 7, GraphProto.initializer 5, TensorProto.dims 1, data_type 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

_INDICES = {6, 7, 9}  # int32, int64, bool: shapes and positions, no weights


def num_weights(path: Path) -> int:
    """How many numbers the initialisers of the graph hold, wherever their values are stored."""
    graphs = (graph for number, graph in _fields(memoryview(path.read_bytes())) if number == 7)
    tensors = (tensor for graph in graphs for number, tensor in _fields(graph) if number == 5)
    return sum(map(_numel, tensors))


def _numel(tensor: memoryview | int) -> int:
    dims: list[int] = []
    for number, value in _fields(tensor):
        if number == 2 and value in _INDICES:
            return 0
        if number == 1 and isinstance(value, int):
            dims.append(value)
        elif number == 1:
            dims += _packed(value)
    return math.prod(dims)


def _fields(message: memoryview | int) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of a message: numbers, and the bytes of texts, messages and packed lists."""
    assert isinstance(message, memoryview)
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
        elif key & 7 == 2:
            length, at = _varint(message, at)
            yield key >> 3, message[at : at + length]
            at += length
        else:
            at += 8 if key & 7 == 1 else 4


def _packed(values: memoryview | int) -> list[int]:
    assert isinstance(values, memoryview)
    numbers, at = [], 0
    while at < len(values):
        number, at = _varint(values, at)
        numbers.append(number)
    return numbers


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where the next field begins."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
