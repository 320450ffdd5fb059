"""Damage that knows a file's structure, by its form, and that of archives, whose members have forms of their own."""

import io
import random
import tarfile
import zipfile
from collections.abc import Callable

import binaries
import texts
from values import NUMBERS, TEXTS

PAX_KEYS = (
    *("GNU.sparse.map", "GNU.sparse.major", "GNU.sparse.size", "GNU.sparse.name"),
    *("size", "path", "mtime", "hdrcharset", "linkpath", "uid", "SCHILY.xattr.a"),
)

Damage = Callable[[bytes, random.Random], bytes]


def of_tar(contents: bytes, rng: random.Random) -> bytes:
    """Members of other kinds, names, sizes and headers; or the contents of one damaged by its own form."""
    with tarfile.open(fileobj=io.BytesIO(contents)) as archive:
        members = [(member, (archive.extractfile(member) or io.BytesIO()).read()) for member in archive]
    at = rng.randrange(len(members))
    member, data = members[at]
    kind = rng.randrange(8)
    if kind == 0:
        member.type = rng.choice([bytes([code]) for code in b"0123456789SLKxgDMNV\x00"])
        member.linkname = rng.choice(("../x", member.name, "/etc/passwd", ""))
    elif kind == 1:
        member.name = rng.choice(
            (*TEXTS, "a" * 300 + ".png", "x/" * 2000 + "a.png", ".png", "a.", "__meta__/x.png", "a.b.c.png")
        )
    elif kind == 2:
        key = rng.choice(PAX_KEYS)
        member.pax_headers = {key: str(rng.choice((*TEXTS[:10], *NUMBERS, "0,1,2", "1,x", "BINARY")))}
    elif kind == 3:
        members.insert(rng.randrange(len(members)), (member, data))
    elif kind == 4:
        rng.shuffle(members)
    elif kind == 5:
        del members[at]
    else:
        form = FORMS.get(member.name.rpartition(".")[2], binaries.of_bytes)
        members[at] = (member, _any_form(form, data, rng))
    file = io.BytesIO()
    style = rng.choice((tarfile.PAX_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=file, mode="w", format=style, errors="surrogateescape") as archive:
        for member, data in members:
            member.size = len(data)
            try:
                archive.addfile(member, io.BytesIO(data))
            except (ValueError, UnicodeError):
                continue  # this style cannot say it
    data = bytearray(file.getvalue())
    if kind == 7 and len(data) > 512:  # a wrong size with a right checksum
        data[124:136] = rng.choice(
            (b"77777777777\0", b"00000000000\0", b"\x80" + bytes(10) + b"\xff", b"-0000000001\0")
        )
        data[148:156] = b"        "
        data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def of_zip(contents: bytes, rng: random.Random) -> bytes:
    """One member damaged by its own form, repeated, emptied, inflated, or under another name."""
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice(list(members))
    kind = rng.randrange(6)
    if kind == 0:
        members[rng.choice((*TEXTS[:8], name + "x"))] = members.pop(name)
    elif kind == 1:
        members[name] = b""
    elif kind == 2:
        members[name] = bytes(20_000_000)
    else:
        members[name] = _any_form(FORMS.get(name.rpartition(".")[2], binaries.of_bytes), members[name], rng)
    file = io.BytesIO()
    style = zipfile.ZIP_DEFLATED if kind == 2 or rng.random() < 0.3 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", style) as archive:
        for member, data in members.items():
            archive.writestr(member.replace("\ud800", "?") or "empty", data)
    return file.getvalue()


def _any_form(form: Damage, contents: bytes, rng: random.Random) -> bytes:
    """Damage by a form where the contents have it, else of bytes."""
    try:
        return form(contents, rng) if rng.random() < 0.7 else binaries.of_bytes(contents, rng)
    except Exception:  # the contents, or what a change makes of them, have no such form
        return binaries.of_bytes(contents, rng)


FORMS: dict[str, Damage] = {
    "bytes": binaries.of_bytes,
    "csv": texts.of_table,
    "json": texts.of_json,
    "jsonl": texts.of_json_lines,
    "masks": texts.of_masks,
    "npy": binaries.of_npy,
    "p": binaries.of_pickle,
    "parquet": binaries.of_parquet,
    "png": binaries.of_png,
    "rels": texts.of_xml,
    "safetensors": binaries.of_safetensors,
    "tar": of_tar,
    "tsv": lambda contents, rng: texts.of_table(contents, rng, "\t"),
    "txt": texts.of_text,
    "xlsx": of_zip,
    "xml": texts.of_xml,
    "yaml": texts.of_yaml,
    "zip": of_zip,
}
"""Form, mostly a suffix -> what damages such a file."""


def damaged(contents: bytes, form: str, rng: random.Random) -> bytes:
    """The contents damaged by their form in seven of ten cases, else as bytes."""
    return _any_form(FORMS.get(form, binaries.of_bytes), contents, rng)
