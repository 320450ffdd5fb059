"""Each file of checks in a process of its own: the device changes PyTorch itself while it is on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SLOW = {"check_everything.py"}
"""Run by `make pretend-gpu` only."""


def checks():
    for path in sorted(HERE.glob("check_*.py")):
        yield pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.name in SLOW else [])


@pytest.mark.pretend
@pytest.mark.parametrize("path", checks())
def test_on_the_pretend_device(path):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "python_files=check_*.py",
        str(path),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
