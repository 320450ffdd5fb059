"""The versions and the machine of a run. Versions are read without importing the packages."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")  # Linux
PACKAGES = ("torch", "torchvision", "open_clip_torch", "transformers", "timm", "numpy", "scikit-learn", "pillow")


def environment(device: str) -> dict[str, str | int | None]:
    """Return versions, platform, device name and thread count of this process; `deterministic` if that is on."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    facts = {**_versions(), "device": device, "device_name": name, "threads": torch.get_num_threads()}
    return facts | ({"deterministic": "true"} if torch.are_deterministic_algorithms_enabled() else {})


@functools.cache
def _versions() -> dict[str, str | int | None]:
    from mlcd_eval import __version__

    versions: dict[str, str | int | None] = {"mlcd_eval": __version__, "git_commit": _git_commit()}
    versions |= {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def _processor() -> str:
    """Return the processor's name, `CPU` where the system does not give it."""
    with contextlib.suppress(OSError):
        named = re.search(r"^model name\s*:\s*(.+)$", CPU_INFO.read_text(errors="replace"), re.MULTILINE)
        if named:
            return named[1].strip()
    return platform.processor() or "CPU"


def _git_commit() -> str | None:
    """Return the commit of this checkout, with `+` if files differ from it; None for an installed wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 a fixed command
    return completed.stdout.strip() or None
