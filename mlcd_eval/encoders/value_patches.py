"""Patches in the joint space as the tower's last block gives them without its attention: MaskCLIP's trick.

CLIP is trained on pooled features alone, and the last attention mixes into every token what the class token needs of
the whole image. Where each token attends to itself only, it takes its own value alone, and the patches stay local.
That is MaskCLIP's code (Zhou et al. 2022; mmseg/models/backbones/vit.py, `return_qkv`): the value's projection and the
output's, added to the block's input, then its MLP. A block that is given one token at a time does just this, whatever
its modules are called.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from mlcd_eval.encoders.base import PROJECTED_PATCHES
from mlcd_eval.encoders.blocks import Stack
from mlcd_eval.encoders.layers import CLS, NO_BLOCKS, BlockInfo


def blocks_of(stack: Stack | None, layers: Mapping[str, int]) -> BlockInfo:
    """What the blocks of a tower give, with `value_patches` where a class token and patches share a projection."""
    if stack is None:
        return NO_BLOCKS
    values = layers.get(PROJECTED_PATCHES, 0) if CLS in stack.info.poolings else 0
    return replace(stack.info, values=values)


@dataclass
class LastCall:
    """What the last block of a tower was called with."""

    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@contextmanager
def last_call(model: nn.Module, stack: Stack) -> Iterator[LastCall]:
    """Keep what this thread calls the last block with in the `with` block."""
    thread, call = threading.get_ident(), LastCall()

    def keep(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        if threading.get_ident() == thread:
            call.args, call.options = args, options

    handle = _last_block(model, stack).register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield call
    finally:
        handle.remove()


def unmixed(model: nn.Module, stack: Stack, call: LastCall) -> torch.Tensor:
    """The patches (B, N, width) of the last block, each of which attends to itself alone, after the last norm."""
    tokens: torch.Tensor = call.args[0]
    batch, count = tokens.shape[:2]
    args, options = (_of_one_place(each, count) for each in (call.args[1:], call.options))
    patches = tokens[:, stack.prefix :]
    output = _last_block(model, stack)(patches.reshape(-1, 1, patches.shape[2]), *args, **options)
    alone = (output[0] if isinstance(output, tuple) else output).reshape(batch, -1, patches.shape[2])
    return model.get_submodule(stack.norm)(alone) if stack.norm else alone


def _last_block(model: nn.Module, stack: Stack) -> nn.Module:
    return list(model.get_submodule(stack.path).children())[-1]


def _of_one_place(value: Any, count: int) -> Any:
    """Positions of `count` tokens, of which one is as good as another: they turn queries and keys, not values."""
    if isinstance(value, torch.Tensor):
        return value[:1] if len(value) == count else value
    if isinstance(value, tuple):
        return tuple(_of_one_place(each, count) for each in value)
    return {name: _of_one_place(each, count) for name, each in value.items()} if isinstance(value, dict) else value
