"""What the extra `run` brings: tables, comparisons, imports and submissions need none of it."""

from __future__ import annotations

import importlib.util

DISTRIBUTIONS = {
    "PIL": "pillow",
    "braceexpand": "braceexpand",
    "clip_benchmark": "clip-benchmark",
    "huggingface_hub": "huggingface_hub",
    "open_clip": "open_clip_torch",
    "pandas": "pandas",
    "rapidfuzz": "rapidfuzz",
    "requests": "requests",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
    "torch": "torch",
    "torchvision": "torchvision",
}
"""Module -> distribution, of all requirements of the extra."""
WITH_TORCH = {"clip_benchmark", "open_clip", "torch", "torchvision"}
"""Of these, those that bring PyTorch or work with it alone: there is nothing smaller to install."""


def require_torch() -> None:
    """Raise ModuleNotFoundError where PyTorch is not installed, so that it is what a command that runs models names."""
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")


def lacking(error: ModuleNotFoundError) -> str | None:
    """The sentence for a module that the extra would bring; None for any other, whose lack is a bug."""
    module = (error.name or "").partition(".")[0]
    distribution = DISTRIBUTIONS.get(module)
    if distribution is None:
        return None
    alone = "" if module in WITH_TORCH else f", or {distribution} alone"
    return f"needs {distribution}: pip install 'mlcd-eval[run]'{alone}"
