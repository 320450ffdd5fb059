"""Numbers of weights from the bytes of the protobuf wire format, written here by its rules."""

from math import prod

import pytest

from mlcd_eval.encoders.adapters.onnx_weights import num_weights


def varint(number):
    low = number & 127
    return bytes([low | 128]) + varint(number >> 7) if number > 127 else bytes([low])


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def tensor(*dims, kind=1, packed=False, more=b""):
    sizes = text(1, b"".join(map(varint, dims))) if packed else b"".join(number(1, size) for size in dims)
    return sizes + number(2, kind) + more


def count(tmp_path, *tensors, before=b""):
    graph = text(2, b"name") + b"".join(text(5, each) for each in tensors) + text(11, b"input")
    (tmp_path / "model.onnx").write_bytes(before + number(1, 8) + text(7, graph) + number(5, 3))
    return num_weights(tmp_path / "model.onnx")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dims", [(3,), (300, 2), (1000, 129, 3), (127, 128), (0, 5), ()])
def test_the_product_of_the_dimensions(tmp_path, dims, packed):
    assert count(tmp_path, tensor(*dims, packed=packed)) == prod(dims)


def test_tensors_add_up_without_those_of_integers_and_whatever_else_a_file_holds(tmp_path):
    fixed = varint(9 << 3 | 1) + b"\xff" * 8 + varint(10 << 3 | 5) + b"\xff" * 4  # fields of 8 and of 4 bytes
    values = text(9, b"\x08\x07" * 20)  # raw data that looks like fields
    assert count(tmp_path, tensor(4, 5, more=fixed + values), tensor(7, kind=10), before=fixed) == 27
    assert [count(tmp_path, tensor(4, kind=kind)) for kind in (1, 5, 6, 7, 8, 9, 10, 11)] == [4, 4, 0, 0, 4, 0, 4, 4]
    assert count(tmp_path) == 0
