"""Trees of values (of JSON, YAML, pickles) with one or more of their parts changed."""

import copy
import random
from typing import Any

TEXTS = (
    *(
        "",
        " ",
        "\x00",
        "\ud800",
        "é",
        "𝔸" * 40,
        "a" * 5000,
        "\n\r\u2028",
        "\u202egpj.x",
        "%s%n{0}",
        "<script>",
        "=cmd()",
    ),
    *("../../x", "/dev/zero", "/proc/self/mem", ".", "..", "http://127.0.0.1:9/x", "nobody/kernel"),
    *("NaN", "1e999", "2024-02-30", "null", "true", "-0", "0x10", "1_000"),
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    7,
    255,
    2**31 - 1,
    2**31,
    2**32,
    2**63 - 1,
    2**63,
    -(2**63),
    10**8,
    10**30,
    10**400,
    0.5,
    -0.0,
    1e-300,
    1e308,
)
SPECIAL = (float("nan"), float("inf"), float("-inf"))


def nested(depth: int, kind: type = list) -> Any:
    """A list in a list in a list, or an object in an object."""
    value: Any = kind()
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


def any_value(rng: random.Random) -> Any:
    """A value of any type, most of which nobody expects."""
    return rng.choice(
        [
            lambda: None,
            lambda: rng.random() < 0.5,
            lambda: rng.choice(NUMBERS),
            lambda: rng.choice(SPECIAL),
            lambda: rng.choice(TEXTS),
            list,
            dict,
            lambda: [rng.choice(NUMBERS)] * rng.choice((1, 3, 2000)),
            lambda: {rng.choice(TEXTS): rng.choice(NUMBERS)},
            lambda: nested(rng.choice((3, 99, 101, 400)), rng.choice((list, dict))),
        ]
    )()


def changed(value: Any, rng: random.Random) -> Any:
    """A copy with one to three parts changed, removed, renamed, repeated, exchanged or wrapped."""
    root = {"root": copy.deepcopy(value)}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(root, []))
        container, key = rng.choice(places)
        _change(container, key, rng, places)
    return root.get("root")


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key), each of which has the same chance."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        found.append((value, key))
        if len(found) < 3000:
            _places(part, found)
    return found


def _change(container: Any, key: Any, rng: random.Random, places: list[tuple[Any, Any]]) -> None:
    part, kind = container[key], rng.randrange(10)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[rng.choice((*TEXTS, str(key).upper(), f"{key}s"))] = container.pop(key)
    elif kind == 2 and isinstance(container, list):
        container[key:key] = [part] * rng.choice((1, 2, 500))
    elif kind == 3:
        other, at = rng.choice(places)
        container[key] = (
            copy.deepcopy(other[at]) if at in (range(len(other)) if isinstance(other, list) else other) else None
        )
    elif kind == 4:
        container[key] = rng.choice(([part], {"a": part}, str(part)))
    elif kind == 5 and isinstance(part, (int, float)) and not isinstance(part, bool):
        container[key] = rng.choice((-part, part + 1, part - 1, part * 1000, float(part), str(part)))
    elif kind == 6 and isinstance(part, str) and part:
        at = rng.randrange(len(part))
        container[key] = part[:at] + rng.choice(TEXTS) + part[at + rng.randrange(2) :]
    else:
        container[key] = any_value(rng)
