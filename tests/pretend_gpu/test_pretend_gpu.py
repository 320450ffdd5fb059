"""Each file of checks in a process of its own: the device changes PyTorch itself while it is on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NOTHING_TO_RUN = 5  # pytest's exit code


@pytest.mark.pretend
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", sorted(HERE.glob("check_*.py")), ids=lambda path: path.stem)
def test_on_the_pretend_device(path, which):
    options = ["-q", "-m", which, "-p", "no:cacheprovider", "-o", "python_files=check_*.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(path)],
        cwd=HERE.parents[1], env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode in (0, NOTHING_TO_RUN), (done.stdout + done.stderr)[-6000:]
