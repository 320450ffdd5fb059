"""The identity of weights, and what goes wrong when they are loaded."""

from __future__ import annotations

import hashlib
import pickle

import torch

LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, ImportError, pickle.UnpicklingError)
"""What model libraries raise for weights that are missing, damaged, of another architecture or not plain tensors."""


def fingerprint(model: torch.nn.Module) -> str:
    """sha256 over the state dict: names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def num_params(model: torch.nn.Module) -> int:
    """Parameters of the whole model, both towers."""
    return sum(parameter.numel() for parameter in model.parameters())
