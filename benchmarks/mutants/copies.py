"""Copies of the working tree in which mutants run, each with a process that runs pytest."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVER = Path(__file__).parent / "server.py"
NOT_COPIED = (".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "runs")


class Copy:
    """A copy of the working tree at `root`. One caller at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
        (root / ".venv").symlink_to((ROOT / ".venv").resolve())
        self._server: subprocess.Popen[str] | None = None

    def pytest(self, arguments: list[str], limit: float, variables: dict[str, str] | None = None) -> int:
        """pytest's exit code, 124 for a run of more than `limit` seconds."""
        scratch = self.root / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        places = {"PYTHONPATH": str(self.root), "TMPDIR": str(scratch), "HOME": str(scratch), "OMP_NUM_THREADS": "1"}
        if self._server is None or self._server.poll() is not None:
            self._server = subprocess.Popen(
                [sys.executable, str(SERVER)], cwd=self.root, env={**os.environ, **places}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        assert self._server.stdin is not None and self._server.stdout is not None
        request = {"arguments": arguments, "limit": limit, "variables": places | (variables or {})}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    @contextmanager
    def changed(self, path: str, text: str) -> Iterator[None]:
        """A source file of the copy holds another text within the block."""
        original = (self.root / path).read_text()
        try:
            self._write(path, text)
            yield
        finally:
            self._write(path, original)

    def _write(self, path: str, text: str) -> None:
        """Write a file, and forget what Python compiled of it."""
        (self.root / path).write_text(text)
        Path(cache_from_source(str(self.root / path))).unlink(missing_ok=True)

    def close(self) -> None:
        """End the process."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()


@contextmanager
def copies(count: int) -> Iterator[Callable[[Callable, list], list]]:
    """Yield run_all(function, items): function(copy, item) of all items, each copy used by one at a time."""
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        made = [Copy(Path(folder) / f"copy_{number}") for number in range(count)]
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in made:
            free.put(copy)

        def run_all(function: Callable, items: list) -> list:
            def with_a_copy(item: object) -> object:
                copy = free.get()
                try:
                    return function(copy, item)
                finally:
                    free.put(copy)

            with ThreadPoolExecutor(count) as pool:
                return list(pool.map(with_a_copy, items))

        try:
            yield run_all
        finally:
            for copy in made:
                copy.close()
