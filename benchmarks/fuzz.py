"""Damaged files for every reader, which must read them or raise a UserError within a minute. Prints the outcomes.

Files that a run stores for itself (features, predictions, scans) must give the same result, computed again if damaged.

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
    """The time limit. It is not an Exception, so that no reader blames the file for it."""


def damaged(contents: bytes, rng: random.Random) -> bytes:
    """The contents cut short, or with flipped bits, random bytes, two blocks exchanged, or a block repeated."""
    data = bytearray(contents)
    kind = rng.randrange(5)
    offset = rng.randrange(max(len(data), 1))
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
    else:
        data[offset:offset] = data[offset : offset + rng.randrange(1, 200)]
    return bytes(data)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Raise TooLong after SECONDS."""

    def stop(*_: object) -> None:
        raise TooLong(f"over {SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def attack(reader: Reader, inputs: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Counts of outcomes, and a line for each input that was handled wrongly."""
    rng = random.Random(f"{seed} {reader.name}")
    intact, outcomes, wrong = reader.path.read_bytes(), collections.Counter[str](), []
    expected = reader.read(reader.path)
    for number in range(inputs):
        reader.path.write_bytes(damaged(intact, rng))
        try:
            with time_limit():
                result = reader.read(reader.path)
            outcome, problem = "read", "another result" if reader.recovers and result != expected else ""
        except UserError:
            outcome, problem = "refused", "stored data refused" if reader.recovers else ""
        except (Exception, TooLong) as error:
            outcome, problem = "crashed", f"{type(error).__name__}: {error}"
        outcomes["wrong" if problem else outcome] += 1
        if problem:
            wrong.append(f"{reader.name} input {number}: {problem[:160]!r}")
    reader.path.write_bytes(intact)
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
    print(f"{total} inputs, {len(wrong)} handled wrongly")
    print("\n".join(wrong[:40]))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
