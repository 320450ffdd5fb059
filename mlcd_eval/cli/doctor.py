"""`mlcd-eval doctor`: what this machine has and lacks. Nothing heavy is imported, so that it answers at once."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

DISTRIBUTION = "mlcd-eval"
PATIENCE = 1.0
"""Seconds to wait for nvidia-smi, which is slow where no driver stays loaded."""
FOR_RUNS = "every run needs it, pip install 'mlcd-eval[run]'"
BUNDLES = {"all", "dev"}
"""Extras that only join others, or serve development."""


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("doctor", help="what this machine has and lacks")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per finding; 1 if something that every command or every run needs is missing."""
    from mlcd_eval import __version__

    print(f"mlcd-eval {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores")
    try:
        needed = _requirements()
    except PackageNotFoundError:
        print(f"[!!] {DISTRIBUTION} is not installed as a package, so that its requirements are unknown")
        return 1
    healthy = [_needed(name, wanted, "everything needs it") for name, wanted in needed.pop("")]
    healthy += [_needed(name, wanted, FOR_RUNS) for name, wanted in needed.pop("run", [])]
    healthy.append(_torch())
    for extra in sorted(needed.keys() - BUNDLES):
        _extra(extra, needed[extra])
    _kinds()
    healthy.append(_cache())
    return 0 if all(healthy) else 1


def _requirements() -> dict[str, list[tuple[str, str]]]:
    """Extra, or "" for what every command needs -> (distribution, range of versions), as the package declares them."""
    from packaging.requirements import Requirement

    needed: dict[str, list[tuple[str, str]]] = {"": []}
    for text in requires(DISTRIBUTION) or []:
        requirement = Requirement(text)
        if requirement.name == DISTRIBUTION:  # an extra that brings another
            continue
        extra = re.search(r"extra == ['\"](.+?)['\"]", str(requirement.marker or ""))
        needed.setdefault(extra[1] if extra else "", []).append((requirement.name, str(requirement.specifier)))
    return needed


def _problem(name: str, wanted: str) -> str | None:
    """What is wrong with a distribution here; None where its version is in the range."""
    from packaging.specifiers import SpecifierSet

    try:
        installed = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    if SpecifierSet(wanted).contains(installed, prereleases=True):
        return None
    return f"{name} {installed} is installed, expected {wanted}"


def _needed(name: str, wanted: str, why: str) -> bool:
    problem = _problem(name, wanted)
    print(f"[ok] {name} {version(name)}" if problem is None else f"[!!] {problem}: {why}")
    return problem is None


def _extra(extra: str, needed: list[tuple[str, str]]) -> None:
    problems = [problem for name, wanted in needed if (problem := _problem(name, wanted)) is not None]
    if problems:
        print(f"[--] extra {extra}: {', '.join(problems)} (pip install 'mlcd-eval[{extra}]'){_use(extra)}")
    else:
        print(f"[ok] extra {extra}: {', '.join(f'{name} {version(name)}' for name, _ in needed)}{_use(extra)}")


def _use(extra: str) -> str:
    """Which kinds of models an extra is for, if any."""
    from mlcd_eval.encoders.kinds import KINDS

    kinds = [f"{name}:" for name in KINDS if KINDS.package(name) is None and KINDS[name].extra == extra]
    return f", for models {', '.join(kinds)}" if kinds else ""


def _kinds() -> None:
    """Kinds of models that no extra brings."""
    from mlcd_eval.encoders.kinds import KINDS

    for name in KINDS:
        package = KINDS.package(name)
        if package is not None:
            print(f"[ok] models {name}: are added by the package {package}")
            continue
        module, extra = KINDS[name].package, KINDS[name].extra
        if module is not None and extra is None and importlib.util.find_spec(module) is None:
            print(f"[--] models {name}: need {module}, which is not installed")


def _torch() -> bool:
    """PyTorch and the devices, without importing it."""
    package = importlib.util.find_spec("torch")
    if package is None or package.origin is None:
        print(f"[!!] torch cannot be found: {FOR_RUNS}")
        return False
    print("[--] torch is looked up, not imported; if runs fail in it, try python -c 'import torch'")
    built_for = _cuda_version(Path(package.origin).with_name("version.py"))
    print(f"[ok] torch is built for {f'CUDA {built_for}' if built_for else 'CPUs'}")
    devices = _devices()
    if devices is None:
        print(f"[--] CUDA devices are unknown: nvidia-smi gave no answer within {PATIENCE:.0f} s")
        return True
    for number, device in enumerate(devices):
        print(
            f"[{'ok' if built_for else '--'}] cuda:{number} {device}{'' if built_for else ', which torch cannot use'}"
        )
    if not devices:
        print("[--] no CUDA device: nvidia-smi lists none; runs use the CPU")
    return True


def _cuda_version(path: Path) -> str | None:
    """The CUDA version that torch/version.py names."""
    try:
        match = re.search(r"^cuda\b[^=]*= *'([^']+)'", path.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return match[1] if match else None


def _devices() -> list[str] | None:
    """Return name, memory and compute capability of each device of nvidia-smi; None without an answer in time."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    except (OSError, subprocess.SubprocessError):
        return []
    devices = []
    for line in listed.splitlines():
        name, memory, capability = (part.strip() for part in line.rsplit(",", 2))
        devices.append(f"{name}, {memory}, compute capability {capability} (bf16 from 8.0)")
    return devices


def _cache() -> bool:
    """Whether features can be stored."""
    from mlcd_eval.request import default_cache

    cache = default_cache()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    print(f"[{'ok' if writable else '!!'}] cache {cache}: {free:.0f} GiB free{'' if writable else ', not writable'}")
    return writable
