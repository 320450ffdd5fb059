"""Damaged files for every reader, which must read them, or refuse them in one sentence that names the file.

Each input has a minute of the processor and 2 GiB, in a child process whose death is a failure. Files that a run
stores for itself (features, predictions, scans) must give the same result, computed again if damaged. Prints the
outcomes.

python benchmarks/fuzz [--inputs 1000] [--seed 0] [--only WORD]
"""

import argparse
import os
import platform
import random
import tempfile
import time
from pathlib import Path

from attack import attack, input_of
from readers import readers


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="WORD", help="readers with this in their name")
    parser.add_argument("--show", action="store_true", help="print the inputs of --first and --inputs instead")
    args = parser.parse_args()
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}, seed {args.seed}", flush=True)
    total, count, wrong = 0, 0, []
    numbers = range(args.first, args.first + args.inputs)
    random.seed(args.seed)
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        for reader in readers(Path(name), args.only):
            if args.show:
                contents = reader.path.read_bytes()
                print(reader.name, *(input_of(reader, contents, args.seed, number) for number in numbers), sep="\n")
                continue
            began = sum(os.times()[:4])
            chosen = numbers[: max(args.inputs // 10, 1)] if reader.slow else numbers
            outcomes = attack(reader, chosen, args.seed)
            seconds = sum(os.times()[:4]) - began
            print(
                f"{reader.name:<40} {len(chosen)} inputs: {dict(sorted(outcomes.counts.items()))}, {seconds:.0f} s, "
                f"the slowest {outcomes.slowest:.1f} s",
                flush=True,
            )
            for line in outcomes.wrong[:12]:
                print(f"    {line}", flush=True)
            wrong += outcomes.wrong
            total, count = total + len(chosen), count + 1
    print(f"{count} readers, {total:,} inputs, {len(wrong)} handled wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
