"""What a run ran on, read without importing what is heavy."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("torch", "torchvision", "open_clip_torch", "transformers", "timm", "numpy", "scikit-learn", "pillow")


def environment(device: str) -> dict[str, str | int | None]:
    """Versions, platform, device name and thread count of this process."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.processor() or "CPU"
    return {**_versions(), "device": device, "device_name": name, "threads": torch.get_num_threads()}


@functools.cache
def _versions() -> dict[str, str | int | None]:
    from mlcd_eval import __version__

    found: dict[str, str | int | None] = {"mlcd_eval": __version__, "git_commit": _git_commit()}
    found |= {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _git_commit() -> str | None:
    """The commit of the checkout that this package is in, with `+` where files differ from it; None for a wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 a fixed command, its folder our own
    return done.stdout.strip() or None
