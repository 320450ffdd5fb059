"""Which tests call which functions, and how long each takes: made once per test file, kept until the file changes.

Only tests that pass in a copy without a mutant are counted, so that none is noticed by a test that fails anyway.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.mutants.copies import Copy

TRACE = Path(__file__).parent / "trace"
LEFT_OUT = ("tests/crashes", "tests/docs", "tests/test_wheel.py", "tests/test_laws.py")
"""Tests of the whole that take long and are no one's first check, and tests of the text of the code."""
WHOLE = ("pretend_gpu", "cli", "running", "support", "spec", "planning", "extras")
LAST = ("tests/test_", *(f"tests/{name}" for name in WHOLE))
PYTEST = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not cluster"]


@dataclass
class TestMap:
    """seconds: of each test that passes; untraced: test file -> its text; calls: source file -> function -> tests."""

    __test__ = False
    seconds: dict[str, float] = field(default_factory=dict)
    untraced: dict[str, str] = field(default_factory=dict)
    calls: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    def add(self, test: str, kept: dict) -> None:
        """Add what `trace` wrote of one test file."""
        self.untraced.pop(test, None)
        self.seconds |= kept["seconds"]
        for path, functions in kept["calls"].items():
            for function, tests in functions.items():
                self.calls[path][function].update(tests)

    def batches(self, path: str, function: str, longest: float) -> list[list[str]]:
        """Tests of a change in a function (empty: in none): of the mirrored folder, then others that call it.

        longest: the most seconds that a batch's tests take.
        """
        functions = self.calls[path]
        tests = functions.get(function) or set().union(*functions.values())  # of the file, where only imports call it
        nearness = {test: _nearness(path, test.partition("::")[0]) for test in tests}
        near = sorted((t for t in tests if nearness[t] < 2), key=lambda t: (nearness[t], self.seconds[t], t))
        far = sorted((t for t in tests if nearness[t] == 2), key=lambda t: (self.seconds[t], t))
        return [batch for batch in (self._first(near, longest), self._first(far, longest)) if batch]

    def guessed(self, path: str) -> set[str]:
        """Files that are not traced yet and may call a module: its own and those that name it."""
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        package, _, name = module.rpartition(".")
        naming = re.compile(rf"\b{re.escape(module)}\b(?!\.)|from {re.escape(package)} import [^\n]*\b{name}\b")
        return {test for test, text in self.untraced.items() if _nearness(path, test) == 0 or naming.search(text)}

    def near(self, path: str) -> set[str]:
        """Files of a module's folder that are not traced yet."""
        return {test for test in self.untraced if _nearness(path, test) == 1}

    def _first(self, tests: list[str], longest: float) -> list[str]:
        chosen, files, total = [], set(), 0.0
        for test in tests:
            file, seconds = test.partition("::")[0], self.seconds[test]
            if (total + seconds > longest and chosen) or (file not in files and len(files) == 12):
                continue
            chosen, total = [*chosen, test], total + seconds
            files.add(file)
        order = list(dict.fromkeys(test.partition("::")[0] for test in chosen))
        return sorted(chosen, key=lambda test: order.index(test.partition("::")[0]))[:400]


def _nearness(path: str, test: str) -> int:
    """0: the test file of this module; 1: one of its folder; 2: another."""
    source = Path(path.removeprefix("mlcd_eval/"))
    name = source.parent.name if source.stem == "__init__" else source.stem
    folder = Path("tests") / source.parent
    if Path(test).parent == folder and Path(test).stem.removeprefix("test_") in (name, f"{name}s"):
        return 0
    return 1 if Path(test).is_relative_to(folder) or Path(test).parent == folder.parent != Path("tests") else 2


def test_files(root: Path) -> list[str]:
    """The test files of a copy: those of the mirrored folders first, short ones before long ones."""
    files = sorted((root / "tests").rglob("test_*.py"), key=lambda path: path.stat().st_size)
    names = [str(path.relative_to(root)) for path in files]
    return sorted((name for name in names if not name.startswith(LEFT_OUT)), key=lambda name: name.startswith(LAST))


def kept_trace(folder: Path, root: Path, test: str) -> Path:
    """The file that keeps the trace of a test file with these contents."""
    digest = hashlib.sha256(test.encode() + (root / test).read_bytes()).hexdigest()
    return folder / f"{digest[:24]}.json"


def traced(copy: Copy, folder: Path, test: str, limit: float = 900) -> dict:
    """The trace of a test file that is kept, or is made now in a copy: of no test if it takes longer than the limit."""
    path = kept_trace(folder, copy.root, test)
    if not path.is_file():
        raw = path.with_suffix(".raw")
        places = {"MUTANTS_TRACE": str(raw), "MUTANTS_ROOT": str(copy.root)}
        places["PYTHONPATH"] = os.pathsep.join([str(TRACE), str(copy.root)])
        _remove(raw)
        copy.pytest([*PYTEST, "-p", "mutants_recorder", test], limit, places)
        path.write_text(json.dumps(_read(_lines(raw), _lines(Path(f"{raw}.tests")))))
        _remove(raw)
    return json.loads(path.read_text())


def _remove(raw: Path) -> None:
    for old in (raw, Path(f"{raw}.tests")):
        old.unlink(missing_ok=True)


def _lines(path: Path) -> list[list[str]]:
    if not path.is_file():
        return []
    return [line.split("\t") for line in path.read_text(errors="replace").split("\n") if line.count("\t") == 2]


def _read(called: Iterable[list[str]], reports: Iterable[list[str]]) -> dict:
    seconds: dict[str, float] = defaultdict(float)
    bad = set()
    for test, outcome, taken in reports:
        seconds[test] += float(taken)
        if outcome != "passed":
            bad.add(test)
    passed = {test: taken for test, taken in seconds.items() if test not in bad}
    calls: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for test, path, function in called:
        if test in passed:
            calls[path][function].add(test)
    return {
        "seconds": passed,
        "calls": {path: {f: sorted(tests) for f, tests in functions.items()} for path, functions in calls.items()},
    }
