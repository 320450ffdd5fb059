"""`mlcd-eval doctor`: what this machine has and lacks."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
from typing import Any

REQUIRED = ("torch", "torchvision", "open_clip_torch", "clip-benchmark", "numpy", "scikit-learn", "pandas", "pillow")
OPTIONAL = {"transformers": "hf: models", "timm": "timm: models", "datasets": "hf: datasets"}


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("doctor", help="what this machine has and lacks")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line a finding; 1 if something that every run needs is missing or broken."""
    from mlcd_eval import __version__
    from mlcd_eval.request import default_cache

    print(f"mlcd-eval {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores")
    missing = [name for name in REQUIRED if not _package(name, None)]
    for name, use in OPTIONAL.items():
        _package(name, use)
    healthy = not missing and _imports("torch") and _imports("open_clip")
    if "torch" in sys.modules:
        _devices()
    cache = default_cache()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    print(f"[{'ok' if writable else '!!'}] cache {cache}: {free:.0f} GiB free{'' if writable else ', not writable'}")
    return 0 if healthy and writable else 1


def _package(name: str, use: str | None) -> bool:
    try:
        print(f"[ok] {name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        print(f"[!!] {name} is not installed" if use is None else f"[--] {name} is not installed ({use} need it)")
        return False
    return True


def _imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever an import raises is the finding
        print(f"[!!] import {module} fails: {type(error).__name__}: {error}")
        return False
    return True


def _devices() -> None:
    import torch

    if not torch.cuda.is_available():
        print(f"[--] no CUDA device: runs use the CPU ({torch.get_num_threads()} threads)")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        print(f"[ok] cuda:{index} {properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}")
