"""Damage to texts: lines, tables, JSON, YAML and XML, which stay well-formed enough to lead a reader deep."""

import csv
import io
import json
import random
import re
from typing import Any

import yaml
from binaries import of_bytes
from values import NUMBERS, TEXTS, changed, nested

ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1")
OF_YAML = (
    *("a: !!python/name:os.system\n", "a: !!binary x\n", "a: !!set {x}\n", "%YAML 9.9\n---\n", "--- 1\n--- 2\n"),
    *("a: &a [*a]\n", "<<: *b\n", "? [a]\n: 1\n", "a: 2024-02-30\n", "a: 1\na: 2\n"),
    *("a: " + "[" * 100_000, "a: " + "9" * 5000 + "\n"),
)
"""What YAML has and JSON lacks: tags, aliases, documents, dates, keys given twice, keys that are lists."""


def of_text(contents: bytes, rng: random.Random) -> bytes:
    """Lines and words exchanged, repeated, emptied or replaced, in another encoding or with other ends of lines."""
    lines = contents.decode("utf-8", "replace").split("\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind == 0:
        lines[at : at + 1] = [lines[at]] * rng.choice((0, 2, 3000))
    elif kind == 1:
        lines[at] = rng.choice((*TEXTS, *map(str, NUMBERS[:-3])))
    elif kind == 2:
        words = re.split(r"(\W)", lines[at])
        words[rng.randrange(len(words))] = rng.choice((*TEXTS, *map(str, NUMBERS)))
        lines[at] = "".join(words)
    elif kind == 3:
        rng.shuffle(lines)
    elif kind == 4:
        lines[at] += rng.choice(
            ('"', ",,,", "\t", ": [", "{" * rng.choice((1, 200, 20_000)), "[" * 20_000, "\\", "#", "&a *a")
        )
    return (
        rng.choice(("\n", "\n", "\r\n", "\r"))
        .join(lines)
        .encode(rng.choice(ENCODINGS), "surrogatepass" if rng.random() < 0.5 else "replace")
    )


def as_json(value: Any, rng: random.Random) -> bytes:
    """The text of a value in one of the forms that JSON comes in."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, 1)))
    if rng.random() < 0.03:
        text = text[: rng.randrange(len(text))] + "[" * rng.choice((150, 100_000))
    return text.encode(rng.choice(ENCODINGS), "backslashreplace")


def of_json(contents: bytes, rng: random.Random) -> bytes:
    """One or more values of the tree changed."""
    return as_json(changed(json.loads(contents), rng), rng)


def of_json_lines(contents: bytes, rng: random.Random) -> bytes:
    """One or more values of one line changed, or a line that is no object."""
    lines = contents.split(b"\n")
    at = rng.randrange(max(len(lines) - 1, 1))
    lines[at] = (
        of_json(lines[at], rng).replace(b"\n", b" ") if rng.random() < 0.9 else rng.choice((b"1", b"[]", b"", b"null"))
    )
    return b"\n".join(lines)


def of_yaml(contents: bytes, rng: random.Random) -> bytes:
    """Values of the tree changed, or YAML's own means: tags, aliases, bombs, keys given twice, dates."""
    kind = rng.randrange(4)
    if kind:
        text = yaml.safe_dump(changed(yaml.safe_load(contents), rng), default_flow_style=rng.random() < 0.3)
        return text.encode(rng.choice(ENCODINGS), "backslashreplace")
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    extra = rng.choice((bomb, *OF_YAML))
    return extra.encode() + contents if rng.random() < 0.5 else contents + b"\n" + extra.encode()


def of_table(contents: bytes, rng: random.Random, delimiter: str = ",") -> bytes:
    """Cells, rows, columns, quotes and encodings of a CSV file."""
    text = contents.decode("utf-8-sig", "replace")
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    for _ in range(rng.choice((1, 1, 2))):
        row = rng.choice(rows)
        at = rng.randrange(max(len(row), 1))
        kind = rng.randrange(6)
        if kind == 0:
            row[at : at + 1] = []
        elif kind == 1:
            row.insert(at, rng.choice(TEXTS))
        elif kind == 2:
            rows.insert(rng.randrange(len(rows) + 1), list(rng.choice(rows)))
        elif kind == 3:
            for other in rows:
                other[at : at + 1] = other[at : at + 1] * 2
        elif row:
            row[at % len(row)] = rng.choice((*TEXTS, *map(str, NUMBERS), "nan", "-inf", "1e9", "[1, 2", "x" * 200_000))
    file = io.StringIO()
    csv.writer(
        file, delimiter=delimiter, quoting=rng.choice((0, 0, 1)), lineterminator=rng.choice(("\n", "\r\n"))
    ).writerows(rows)
    contents = file.getvalue().encode(rng.choice(ENCODINGS), "backslashreplace")
    return contents + rng.choice((b"", b"", b"", b'"', b"\x00", b"\xff\xfe", b'"' + b"a" * 2_000_000))


def of_xml(contents: bytes, rng: random.Random) -> bytes:
    """Numbers and texts of a sheet replaced, elements repeated, entities and nesting."""
    text = contents.decode("utf-8", "replace")
    kind = rng.randrange(5)
    if kind == 0:
        places = list(re.finditer(r'"[^"]*"|>[^<]+<', text))
        place = rng.choice(places) if places else re.search("", text)
        value = str(rng.choice((*TEXTS, *NUMBERS, "XFD1048576", "A0", "ZZZZ9", "s", "inlineStr")))
        text = text[: place.start() + 1] + value.replace("\ud800", "?") + text[max(place.end() - 1, place.start()) :]
    elif kind == 1:
        elements = list(re.finditer(r"<(\w+)[^>]*/>|<(\w+)[^>]*>[^<]*</\2>", text))
        if elements:
            element = rng.choice(elements)
            text = text[: element.start()] + element[0] * rng.choice((0, 2, 2000)) + text[element.end() :]
    elif kind == 2:
        bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
        text = f'<!DOCTYPE x [<!ENTITY e0 "xxxxxxxxxx">{bomb}]>' + re.sub(r"^<\?xml[^>]*>", "", text).replace(
            ">", ">&e11;", 3
        )
    elif kind == 3:
        text = re.sub(r">", ">" + "<a>" * rng.choice((100, 100_000)), text, count=1)
    else:
        return of_bytes(contents, rng)
    return text.encode(rng.choice(ENCODINGS), "replace")


def of_masks(contents: bytes, rng: random.Random) -> bytes:
    """A mask as run-length codes and polygons that only C code could misread."""
    lines = [json.loads(line) for line in contents.splitlines()]
    mask = rng.choice(lines)
    height, width = mask["segmentation"]["size"] if isinstance(mask["segmentation"], dict) else (9, 9)
    pixels = height * width
    zeros, ones = [0] * rng.choice((6, 10_000)), [1] * pixels
    lists = ([*zeros, pixels], [pixels, 0, 0], ones, [2**31, 2**31], [-1, pixels + 1], [pixels + 1], [], [2**63], [1.0])
    coded = ("0" * 5000, "PPPPP", "\\", "o" * 14, rng.randbytes(9).decode("latin-1"))
    counts = rng.choice((*lists, *coded, [True] * pixels))
    far = rng.choice((1e6, 1e7, 1e300, -1e6, float("nan"), float("inf"), 2**31))
    polygon = rng.choice(
        (
            [0, 0, far, 0, far, far],
            [far] * 6,
            [1, 2] * 4000,
            [0, 0, 1],
            [],
            [0, 0, width, 0, width, height] * 300,
            [["x"] * 6],
        )
    )
    size = rng.choice(([height, width],) * 4 + ([0, 0], [-1, 5], [width, height], [2**31, 2**31], [1.5, 2], None))
    code = {"size": size, "counts": counts}
    mask["segmentation"] = rng.choice(
        (code, code, [code, code], [polygon], [polygon] * rng.choice((2, 2000)), [code, polygon], nested(50))
    )
    return "".join(json.dumps(line) + "\n" for line in lines).encode()
