"""Towers whose parameters, gradients and moments are sharded over ranks (FSDP2), for models that fill a GPU."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.support.distributed import parallel, rank, world_size


def shard(model: DualEncoder, device: torch.device) -> None:
    """Shard each block of the towers, and what is left of each tower, over all ranks. What belongs to no tower (the
    projection, the temperature) stays whole on every rank. On one rank nothing changes."""
    if not parallel():
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # towers return views (the class token, the patches), which nothing changes in place
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (world_size(),))
    towers: list[Any] = [model.visual, *([model.text] if model.text is not None else [])]
    for tower in towers:
        for block in tower.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(tower, mesh=mesh)


def whole(model: DualEncoder) -> DualEncoder:
    """The model without shards, on rank 0's host; itself if it has none. Every rank calls it; the others' is empty."""
    if not any(map(is_sharded, model.parameters())):
        return model
    gathered: dict[str, Tensor] = {}
    tensors: dict[str, Any] = model.state_dict()
    for name, tensor in tensors.items():
        full: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor
        if rank() == 0:
            gathered[name] = full.cpu()
    with torch.device("meta"):
        copy = DualEncoder(model.config)
    copy.load_state_dict(gathered, strict=rank() == 0, assign=True)
    return copy


def is_sharded(tensor: Tensor) -> bool:
    """Whether each rank holds a part of it."""
    module = sys.modules.get("torch.distributed.tensor")  # half a second to import, for sharded towers only
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Any) -> Tensor:
    """This rank's part, which shares the tensor's memory; the tensor itself if it is whole."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def set_to(tensor: Any, full: Tensor) -> None:
    """Copy whole values into a tensor, or each rank its part of them."""
    if is_sharded(tensor):
        from torch.distributed.tensor import distribute_tensor

        full = full.to(tensor.device, tensor.dtype)
        full = distribute_tensor(full, tensor.device_mesh, tensor.placements, src_data_rank=None)
    tensor.copy_(full)


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scale all gradients, in place, so that their common norm is at most `limit`. Return the norm before that, the
    same on every rank, on the device."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if not any(map(is_sharded, grads)):
        return torch.nn.utils.clip_grad_norm_(parameters, limit)
    sharded: Any = torch.nn.utils.get_total_norm([grad for grad in grads if is_sharded(grad)])
    others = [torch.linalg.vector_norm(grad) for grad in grads if not is_sharded(grad)]
    norm = torch.linalg.vector_norm(torch.stack([sharded.full_tensor(), *others]))
    if limit < math.inf:
        torch._foreach_mul_([local(grad) for grad in grads], (limit / (norm + 1e-6)).clamp_max(1.0))
    return norm
