"""Change the code in small ways, one at a time, and count how many of the changes the tests notice.

python -m benchmarks.mutants [--number 120] [--seed 0] [--budget 3600] [--workers 2] [--only data,tables] [--again FILE]

A seeded sample of mutants (a comparison, an operator, a number or a condition changed, two arguments exchanged, a
statement or a returned value left out), as many of each group of modules. Each runs in a copy of the working tree
against the tests that call the changed function, those of the module's own test file first. Which tests these are is
traced once per test file and kept in --cache (the first run takes as long as the whole suite). reasons.txt says of
survivors why they survive: those that no test can notice are accepted, others count. Exit code 1 if fewer than 95% of
the mutants that are not accepted are noticed. Needs Python 3.11. --again: only the mutants that an earlier output lists
as survivors.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.mutants import coverage
from benchmarks.mutants.copies import ROOT, Copy, copies
from benchmarks.mutants.mutate import Mutant, mutants

REASONS = Path(__file__).parent / "reasons.txt"
NOT_TESTED = "Not tested"
"""How the reason of a survivor begins that a test could notice."""
TARGET = 0.95
GROUPS = {
    "data": "mlcd_eval/data", "metrics": "mlcd_eval/metrics", "logistic": "mlcd_eval/protocols/classification/logistic",
    "protocols": "mlcd_eval/protocols", "tables": "mlcd_eval/tables", "imports": "mlcd_eval/imports",
    "encoders": "mlcd_eval/encoders", "features": "mlcd_eval/features", "records": "mlcd_eval/records",
    "trainer": "mlcd_train",
}  # fmt: skip
TRACING = threading.Lock()
LONGEST = 45.0  # seconds of the processor, of the tests of one batch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds in all; what is not reached is counted")
    parser.add_argument("--trace", type=float, help="seconds at most for tracing tests, by default half the budget")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help=f"groups, of {', '.join(GROUPS)}")
    parser.add_argument("--again", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "mlcd_mutants")
    args = parser.parse_args()
    start = time.monotonic()
    end = start + args.budget
    groups = args.only.split(",") if args.only else list(GROUPS)
    chosen = sample(groups, args.number, args.seed)
    if args.again:
        wanted = set(entries(args.again.read_text()))
        chosen = [(group, mutant) for group, mutant in chosen if mutant.key in wanted]
    args.cache.mkdir(parents=True, exist_ok=True)
    with copies(args.workers) as run_all:
        test_map = traced(run_all, args.cache, start + args.budget / 2 if args.trace is None else start + args.trace)
        outcomes = run_all(lambda copy, pair: outcome(copy, *pair, test_map, args.cache, end), chosen)
    return report(list(zip(chosen, outcomes, strict=True)))


def sample(groups: list[str], number: int, seed: int) -> list[tuple[str, Mutant]]:
    """(group, mutant): as many of each group, in a random order, so that a budget that ends early cuts all alike.

    A change of the code leaves the others of a seed in the sample, so that survivors can be looked at again.
    """
    chosen = []
    for group in groups:
        paths = sorted((ROOT / GROUPS[group]).rglob("*.py"))
        names = [str(path.relative_to(ROOT)) for path in paths]
        names = [name for name in names if group != "protocols" or not name.startswith(GROUPS["logistic"])]
        all_mutants = [mutant for name in names for mutant in mutants(name, (ROOT / name).read_text())]
        all_mutants.sort(key=lambda mutant: _place(seed, mutant))
        chosen += [(group, mutant) for mutant in all_mutants[: number // len(groups)]]
    return sorted(chosen, key=lambda pair: _place(seed, pair[1]))


def _place(seed: int, mutant: Mutant) -> bytes:
    """Where a mutant comes in the order of a seed, which is random, and stays where other code changes."""
    return hashlib.sha256("\n".join([str(seed), *mutant.key]).encode()).digest()


def traced(run_all: Callable[[Callable, list], list], cache: Path, end: float) -> coverage.TestMap:
    """The map of the tests; test files that are not traced yet are, until a time."""

    def known(copy: Copy, test: str) -> dict | None:
        is_kept = coverage.kept_trace(cache, copy.root, test).is_file()
        return coverage.traced(copy, cache, test) if is_kept or time.monotonic() < end else None

    test_map = coverage.TestMap()
    tests = coverage.test_files(ROOT)
    test_map.untraced |= {test: (ROOT / test).read_text() for test in tests}
    for test, kept in zip(tests, run_all(known, tests), strict=True):
        if kept is not None:
            test_map.add(test, kept)
    seconds, files = sum(test_map.seconds.values()), len(tests) - len(test_map.untraced)
    left = f", {len(test_map.untraced)} are, where they are needed" if test_map.untraced else ""
    print(f"{len(test_map.seconds)} tests of {files} files traced, {seconds:.0f} seconds{left}", flush=True)
    return test_map


def outcome(copy: Copy, group: str, mutant: Mutant, test_map: coverage.TestMap, cache: Path, end: float) -> str:
    """`noticed`, `survived`, `not called` (no test calls the function) or `not run` (the budget has ended).

    Test files that are not traced yet are traced first where they may call the module, then, if the mutant survives,
    where they are of its folder.
    """
    what, tried = "not called", set()
    for guess in (test_map.guessed, test_map.near):
        with TRACING:
            for test in sorted(guess(mutant.path)) if time.monotonic() < end else ():
                test_map.add(test, coverage.traced(copy, cache, test))
            batches = test_map.batches(mutant.path, mutant.function, LONGEST)
        with copy.changed(mutant.path, mutant.source):
            for tests in ([test for test in batch if test not in tried] for batch in batches):
                if time.monotonic() > end:
                    return "not run"
                if not tests:
                    continue
                what, limit = "survived", 60 + 4 * sum(test_map.seconds[test] for test in tests)
                code = copy.pytest([*coverage.PYTEST, "-x", *tests], limit)
                if code != 0:
                    if code < 0 or code == 124:
                        print(f"noticed by the time it takes: {group} {mutant}\n", file=sys.stderr, flush=True)
                    return "noticed"
                tried.update(tests)
    print(f"{what}: {group} {mutant}\n", file=sys.stderr, flush=True)
    return what


def entries(text: str) -> dict[tuple[str, str, str], str]:
    """(path, was, becomes) -> reason, of paragraphs as Mutant prints them, with the reason below, indented."""
    found = {}
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        if len(lines) >= 3 and lines[1].startswith("- ") and lines[2].startswith("+ "):
            found[lines[0].split(" ")[0], lines[1][2:], lines[2][2:]] = " ".join(" ".join(lines[3:]).split())
    return found


def report(outcomes: list[tuple[tuple[str, Mutant], str]]) -> int:
    """Print the rate of each group and every survivor; return the exit code."""
    reasons = entries(REASONS.read_text())
    counts: Counter[tuple[str, str]] = Counter()
    survivors = []
    for (group, mutant), what in sorted(outcomes, key=lambda row: (list(GROUPS).index(row[0][0]), str(row[0][1]))):
        reason = reasons.get(mutant.key, "") if what in ("survived", "not called") else ""
        kind = "accepted" if reason and not reason.startswith(NOT_TESTED) else what
        counts[group, kind] += 1
        if what in ("survived", "not called"):
            survivors.append((kind, mutant, reason))
    noticed_of_all = total_of_all = 0
    print(f"{'group':10}{'mutants':>9}{'noticed':>9}{'survived':>10}{'accepted':>10}{'not run':>9}{'rate':>7}")
    for group in dict.fromkeys(pair[0] for pair, _ in outcomes):
        noticed, lost = counts[group, "noticed"], counts[group, "survived"] + counts[group, "not called"]
        total = noticed + lost
        noticed_of_all, total_of_all = noticed_of_all + noticed, total_of_all + total
        count = sum(n for (name, _), n in counts.items() if name == group)
        row = f"{group:10}{count:9}{noticed:9}{lost:10}{counts[group, 'accepted']:10}{counts[group, 'not run']:9}"
        print(row + (f"{noticed / total:7.0%}" if total else f"{'-':>7}"))
    print(f"all: {noticed_of_all} of {total_of_all} mutants that change what the code does are noticed\n")
    for kind, mutant, reason in survivors:
        print(f"{mutant.path} line {mutant.line} {kind}\n- {mutant.was}\n+ {mutant.becomes}")
        print(f"  {reason}\n" if reason else "")
    return 0 if total_of_all and noticed_of_all >= TARGET * total_of_all else 1


if __name__ == "__main__":
    raise SystemExit(main())
