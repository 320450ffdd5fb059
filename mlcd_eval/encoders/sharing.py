"""Copies of modules whose tensors share the memory of the modules' own."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any, TypeVar

from torch import nn

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import ConfigError

E = TypeVar("E", bound=Encoder)


def sharing_weights(module: nn.Module) -> nn.Module:
    """Return a frozen copy of the module, in evaluation mode, whose tensors share the memory of the module's own."""
    memo: dict[int, Any] = {id(tensor): tensor.detach() for tensor in module.buffers()}
    for parameter in module.parameters():
        if type(parameter) is nn.Parameter:
            memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    try:
        shared = copy.deepcopy(module, memo)
    except Exception as error:
        raise ConfigError(
            f"evaluate: {type(module).__name__} cannot be copied by copy.deepcopy ({error}), expected a module that "
            "can be, or an Encoder around it"
        ) from error
    return shared.eval().requires_grad_(False)


def with_own_modules(encoder: E) -> E:
    """Return a copy of an encoder with modules of its own, whose tensors are the same: what replaces one there does not
    change the encoder."""
    modules = {name: value for name, value in vars(encoder).items() if isinstance(value, nn.Module)}
    tensors = (tensor for each in modules.values() for tensor in chain(each.parameters(), each.buffers()))
    memo: dict[int, Any] = {id(tensor): tensor for tensor in tensors}
    other = copy.copy(encoder)
    for name, module in modules.items():
        setattr(other, name, copy.deepcopy(module, memo))
    return other
