"""Damage to bytes, and to binary files whose checksums and lengths stay right."""

import io
import json
import pickle
import random
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
from values import TEXTS, changed

DTYPES = ("'<i8'", "'|O'", "'<f4'", "'<U9'", "[('a', '<i8')]", "'<M8[s]'", "'|V4'", "1", "'>c16'", "None", "'<i8,<i8'")
SHAPES = (
    "(3,)",
    "()",
    "(0,)",
    "(-1,)",
    "(10**12,)",
    "(4611686018427387904, 4)",
    "(1000000000000,)",
    "(1, 3)",
    "3",
    "'x'",
    "(" * 90 + ")" * 90,
)


def of_bytes(contents: bytes, rng: random.Random) -> bytes:
    """Cut short, or with flipped bits, random bytes, two blocks exchanged, a block repeated, or an extreme integer."""
    data = bytearray(contents)
    if not data:
        return rng.randbytes(8)
    kind = rng.randrange(7)
    offset = (
        rng.randrange(len(data)) if rng.random() < 0.6 else rng.randrange(min(len(data), 256))
    )  # headers matter more
    if kind == 0:
        return bytes(data[:offset])
    if kind == 1:
        for _ in range(rng.randrange(1, 9)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        data[offset : offset + 16] = rng.randbytes(rng.randrange(1, 40))
    elif kind == 3:
        other = rng.randrange(len(data))
        data[offset : offset + 8], data[other : other + 8] = data[other : other + 8], data[offset : offset + 8]
    elif kind == 4:
        data[offset:offset] = data[offset : offset + rng.randrange(1, 200)]
    else:
        size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
        number = rng.choice(
            (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 1) - 1, rng.getrandbits(8 * size))
        )
        data[offset : offset + size] = number.to_bytes(size, order)
    return bytes(data)


def of_npy(contents: bytes, rng: random.Random) -> bytes:
    """Shape, type and order of an array."""
    order = rng.choice(("False", "True", "1"))
    header = f"{{'descr': {rng.choice(DTYPES)}, 'fortran_order': {order}, 'shape': {rng.choice(SHAPES)}, }}"
    header += " " * rng.randrange(3) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + contents[128:]


def of_safetensors(contents: bytes, rng: random.Random) -> bytes:
    """Names, types, shapes and offsets in the header, or its length."""
    size = int.from_bytes(contents[:8], "little")
    header = json.dumps(changed(json.loads(contents[8 : 8 + size]), rng)).encode()
    length = rng.choice((len(header),) * 8 + (0, len(header) - 1, 10**8 + 1, 2**63, 2**64 - 1))
    return struct.pack("<Q", length) + header + contents[8 + size :]


def of_pickle(contents: bytes, rng: random.Random) -> bytes:
    """Values changed, in every protocol, or containers that hold themselves."""
    value = changed(pickle.loads(contents, encoding="latin-1"), rng)
    if rng.random() < 0.1:
        value = []
        value.append(value)
    return pickle.dumps(value, protocol=rng.randrange(6))


def of_png(contents: bytes, rng: random.Random) -> bytes:
    """Chunks with right checksums: of other sizes, depths and palettes, repeated, exchanged, or that inflate."""
    chunks, at = [], 8
    while at < len(contents):
        size = int.from_bytes(contents[at : at + 4], "big")
        chunks.append((contents[at + 4 : at + 8], contents[at + 8 : at + 8 + size]))
        at += size + 12
    kind, place = rng.randrange(5), rng.randrange(len(chunks))
    name, data = chunks[place]
    if kind == 0:
        fields = [*struct.unpack(">IIBBBBB", chunks[0][1])]
        field = rng.randrange(7)
        fields[field] = rng.choice((0, 1, 2, 3, 16, 255, 65_535, 2**31 - 1)) if field < 2 else rng.randrange(256)
        chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", *fields))
    elif kind == 1:
        chunks[place] = (name, of_bytes(data, rng))
    elif kind == 2:
        chunks.insert(place, rng.choice(chunks))
    elif kind == 3:
        bomb = zlib.compress(bytes(rng.choice((100, 100, 80_000_000))))
        chunks.insert(
            1,
            rng.choice(
                ((b"zTXt", b"a\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb), (b"acTL", bytes(8)), (b"tRNS", b"\1" * 9))
            ),
        )
    else:
        chunks[place] = (rng.choice((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"eXIf", b"fcTL")), data)
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return contents[:8] + b"".join(parts)


def of_parquet(contents: bytes, rng: random.Random) -> bytes:
    """Columns of other types, other names, without rows, or with nulls."""
    columns = pq.read_table(io.BytesIO(contents)).to_pydict()
    name = rng.choice(list(columns))
    rows = len(columns[name])
    value = rng.choice(
        (
            None,
            1,
            -1,
            2**62,
            1.5,
            float("nan"),
            True,
            "",
            "x\x00y",
            "../x.png",
            b"\xff",
            [1],
            [],
            [[1]],
            {"bytes": b"x", "path": None},
            {"a": {"b": 1}},
        )
    )
    kind = rng.randrange(5)
    if kind == 0:
        columns[rng.choice((*TEXTS[:8], "image", "split", "caption"))] = columns.pop(name)
    elif kind == 1:
        columns = {key: values[:0] for key, values in columns.items()}
    elif kind == 2:
        columns[name] = [value] * rows
    else:
        columns[name] = [value if rng.random() < 0.3 else cell for cell in columns[name]]
    file = io.BytesIO()
    columns = {key.replace("\ud800", "?"): values for key, values in columns.items()}
    try:
        pq.write_table(
            pa.table(columns),
            file,
            row_group_size=rng.choice((1, 2, 100)),
            compression=rng.choice(("snappy", "zstd", "none")),
        )
    except pa.ArrowException:
        return of_bytes(contents, rng)
    return file.getvalue()
