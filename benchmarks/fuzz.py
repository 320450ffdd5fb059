"""Damaged files into every reader: only a UserError may come out, within a minute. Prints how many each was given.

What a run keeps for itself (features, responses, scans) must come out as it was, made again where it is damaged.

python benchmarks/fuzz.py [--inputs 150] [--seed 0] [--only WORD]
"""

import argparse
import collections
import contextlib
import logging
import os
import platform
import random
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from fuzz_readers import Reader, readers

from mlcd_eval.errors import UserError

SECONDS = 60


class TooLong(BaseException):
    """Not an Exception, so that no reader takes it for the file's fault."""


def damaged(contents: bytes, chance: random.Random) -> bytes:
    """Cut, flipped bits, a block of other bytes, two places exchanged, or a piece doubled."""
    made = bytearray(contents)
    kind = chance.randrange(5)
    place = chance.randrange(max(len(made), 1))
    if kind == 0:
        return bytes(made[:place])
    if kind == 1:
        for _ in range(chance.randrange(1, 9)):
            made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        made[place : place + 16] = chance.randbytes(chance.randrange(1, 40))
    elif kind == 3:
        other = chance.randrange(len(made))
        made[place : place + 8], made[other : other + 8] = made[other : other + 8], made[place : place + 8]
    else:
        made[place:place] = made[place : place + chance.randrange(1, 200)]
    return bytes(made)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Raise TooLong after SECONDS."""

    def ring(*_: object) -> None:
        raise TooLong(f"over {SECONDS} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def attack(reader: Reader, inputs: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Outcomes by kind, and a line for each input that was not answered well."""
    chance = random.Random(f"{seed} {reader.name}")
    whole, outcomes, wrong = reader.path.read_bytes(), collections.Counter[str](), []
    expected = reader.read(reader.path)
    for number in range(inputs):
        reader.path.write_bytes(damaged(whole, chance))
        try:
            with time_limit():
                found = reader.read(reader.path)
            outcome, problem = "read", "another result" if reader.keeps and found != expected else ""
        except UserError:
            outcome, problem = "told", "kept data refused" if reader.keeps else ""
        except (Exception, TooLong) as error:
            outcome, problem = "escaped", f"{type(error).__name__}: {error}"
        outcomes["wrong" if problem else outcome] += 1
        if problem:
            wrong.append(f"{reader.name} input {number}: {problem[:160]!r}")
    reader.path.write_bytes(whole)
    return outcomes, wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="WORD", help="readers with this in their name")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}, seed {args.seed}")
    total, wrong = 0, []
    with tempfile.TemporaryDirectory() as name:
        for reader in readers(Path(name)):
            if args.only in reader.name:
                outcomes, problems = attack(reader, args.inputs, args.seed)
                print(f"{reader.name:<36} {args.inputs} inputs: {dict(sorted(outcomes.items()))}", flush=True)
                wrong += problems
                total += args.inputs
    print(f"{total} inputs, {len(wrong)} answered wrongly")
    print("\n".join(wrong[:40]))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
