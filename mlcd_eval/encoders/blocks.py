"""What is read inside a tower while it runs: pooled outputs of its transformer blocks, by forward hooks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from mlcd_eval.encoders.base import PATCHES
from mlcd_eval.encoders.layers import BLOCKS, CLS, MEAN, BlockInfo, parsed

Part = tuple[int, bool, str]
"""(block from 1, whether the tower's last norm follows, pooling)."""


@dataclass(frozen=True)
class Stack:
    """Where a tower's blocks are, by names alone, since what an encoder holds is part of its fingerprint.

    path: of the list of blocks in the encoder's model; norm: of the norm after them, empty without one. prefix: how
    many tokens come before the patches.
    """

    path: str
    norm: str
    prefix: int
    info: BlockInfo

    def read(
        self, model: nn.Module, layers: Collection[str], run: Callable[[], object], mask: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Call `run`, which calls the model once, and return layer -> (B, D) float32, for `blocks` (B, depth, poolings,
        width). mask: (B, N) bool, which of the patches' tokens count."""
        every = [[(block + 1, False, way) for way in self.info.poolings] for block in range(self.info.depth)]
        of_layer = {layer: name.parts(self.info.depth) for layer in layers if (name := parsed(layer)) is not None}
        wanted = {part for parts in of_layer.values() for part in parts}
        wanted |= {part for parts in every for part in parts} if BLOCKS in layers else set()
        pooled: dict[Part, torch.Tensor] = {}

        def keep(number: int, tokens: torch.Tensor) -> None:
            for normed in {part[1] for part in wanted if part[0] == number + 1}:
                states = model.get_submodule(self.norm)(tokens) if normed and self.norm else tokens
                for way in self.info.poolings:
                    if (number + 1, normed, way) in wanted:
                        pooled[number + 1, normed, way] = self._pool(states, way, mask)

        with watched(model.get_submodule(self.path), keep):
            run()
        outputs = {layer: torch.cat([pooled[part] for part in parts], dim=1) for layer, parts in of_layer.items()}
        if BLOCKS in layers:
            outputs[BLOCKS] = torch.stack([torch.stack([pooled[part] for part in parts], 1) for parts in every], 1)
        return outputs

    def _pool(self, tokens: torch.Tensor, way: str, mask: torch.Tensor | None) -> torch.Tensor:
        if way == CLS:
            return tokens[:, 0].float().clone()  # what follows may write into the tokens
        patches = tokens[:, self.prefix :].float()
        if mask is None:
            return patches.mean(1)
        weights = mask[..., None].to(patches.dtype)
        return (patches * weights).sum(1) / weights.sum(1)


@contextmanager
def watched(blocks: nn.Module, keep: Callable[[int, torch.Tensor], None]) -> Iterator[None]:
    """Call keep(number from 0, output) whenever this thread calls a block in the `with` block."""
    thread = threading.get_ident()

    def hook_of(number: int) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            tokens = output[0] if isinstance(output, tuple) else output
            if threading.get_ident() == thread and isinstance(tokens, torch.Tensor):
                keep(number, tokens)

        return hook

    handles = [block.register_forward_hook(hook_of(number)) for number, block in enumerate(blocks.children())]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def found_stack(
    model: nn.Module,
    path: str,
    run: Callable[[], Mapping[str, torch.Tensor]],
    has_class: bool,
    tokens_of_patches: int | None = None,
) -> tuple[Mapping[str, torch.Tensor], Stack | None]:
    """Return what `run` returns, the layers of one image from one call of the model, and the stack of its blocks.

    The stack is None if the model has no list of blocks at `path`, if these do not all give tokens (1, N, D) of one
    shape, as those of towers with several stages, or if nothing tells which tokens are patches. has_class: whether the
    first token before the patches is a class token. tokens_of_patches: how many tokens are patches or padding, for
    models without the layer `patches`.
    """
    blocks = next((module for name, module in model.named_modules() if name == path), None)
    if not path or not isinstance(blocks, (nn.ModuleList, nn.Sequential)):
        return run(), None
    states: dict[int, torch.Tensor] = {}
    norms: list[str] = []

    def candidate(name: str) -> Callable[[nn.Module, tuple[object, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[object, ...]) -> None:
            last, given = states.get(len(blocks) - 1), inputs[0] if inputs else None
            if last is not None and isinstance(given, torch.Tensor) and given.shape == last.shape:
                norms.extend([name] if torch.equal(given, last) else [])

        return hook

    handles = [
        module.register_forward_pre_hook(candidate(name))
        for name, module in model.named_modules()
        if "norm" in type(module).__name__.lower() and not name.startswith(f"{path}.")  # of the blocks themselves
    ]
    try:
        with watched(blocks, states.__setitem__):
            outputs = run()
    finally:
        for handle in handles:
            handle.remove()
    patches = outputs[PATCHES].shape[1:3].numel() if PATCHES in outputs else tokens_of_patches
    shapes = {tuple(tokens.shape) for tokens in states.values()}
    if len(states) < len(blocks) or len(shapes) != 1 or patches is None:
        return outputs, None
    shape = shapes.pop()
    if len(shape) != 3 or shape[0] != 1 or shape[1] < patches:
        return outputs, None
    prefix = shape[1] - patches
    poolings = (CLS, MEAN) if has_class and prefix else (MEAN,)
    return outputs, Stack(path, next(iter(norms), ""), prefix, BlockInfo(len(states), shape[2], poolings))
