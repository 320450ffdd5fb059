"""Pages of documentation as programs: their code blocks are written to files and run."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import forked

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "my-package"
version = "1.0"

[tool.hatch.build.targets.wheel]
packages = ["my_package"]

"""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file name after it, and its text."""

    language: str
    file: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*match.groups()) for match in FENCE.finditer(page.read_text())]


def install(page: Path, folder: Path) -> Path:
    """Write the page's package, install it with pip into `folder`/site and return that."""
    source = folder / "source"
    (source / "my_package").mkdir(parents=True)
    (source / "my_package" / "__init__.py").write_text("")
    for block in blocks(page):
        if block.file is not None and block.file != "pyproject.toml":
            (source / block.file).parent.mkdir(parents=True, exist_ok=True)
            (source / block.file).write_text(block.text)
    entry_points = "".join(block.text for block in blocks(page) if block.file == "pyproject.toml")
    (source / "pyproject.toml").write_text(PROJECT + entry_points)
    site = folder / "site"
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)]
    subprocess.run(command, check=True)
    return site


def run(command: str, cwd: Path, site: Path) -> str:
    """What a command line prints, with the package installed and this checkout's programs."""
    path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": path,
        "MLCD_EVAL_CACHE": str(cwd / "cache"),
        "OMP_NUM_THREADS": "1",
        "CHECKOUT": str(ROOT),
    }
    for program in ("mlcd-eval", "mlcd-train"):
        words = shlex.join([*forked.start(), "-m", program.replace("-", "_")])
        command = re.sub(rf"^{program}\b", words, command, flags=re.M)
    done = subprocess.run(["bash", "-euc", command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def holds(output: str, expected: str) -> bool:
    """Whether the expected lines are in the output in this order; `...` stands for anything."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    for line in expected.strip().splitlines():
        pattern = re.escape(" ".join(line.split())).replace(r"\.\.\.", ".*")
        if line.strip() != "..." and not any(re.fullmatch(pattern, got) for got in lines):
            return False
    return True
