"""NCCL's rules between pretend devices, which talk by gloo."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
import torch.distributed as dist

from pretend_gpu.device import DeviceTensor


@contextlib.contextmanager
def pretend_nccl() -> Iterator[None]:
    """Refuse what NCCL refuses: tensors of the host, strided ones, booleans, and objects before a device is chosen."""
    chosen: list[object] = []
    real = {
        name: getattr(dist, name)
        for name in (
            "init_process_group",
            "all_reduce",
            "all_gather",
            "broadcast_object_list",
            "all_gather_object",
            "barrier",
        )
    }

    def host(tensor: torch.Tensor, what: str) -> torch.Tensor:
        if not isinstance(tensor, DeviceTensor):
            raise RuntimeError(f"No backend type associated with device type cpu (pretend nccl, {what})")
        if not tensor.is_contiguous():
            raise ValueError(f"Tensors must be contiguous (pretend nccl, {what})")
        if tensor.dtype == torch.bool and what == "all_reduce":
            raise RuntimeError("nccl sums no booleans (pretend nccl)")
        return tensor.host

    def init_process_group(backend=None, device_id=None, **options):
        assert backend == "nccl", f"ranks with GPUs joined by {backend}"
        return real["init_process_group"]("gloo", **options)

    def all_reduce(tensor, op=dist.ReduceOp.SUM, **options):
        return real["all_reduce"](host(tensor, "all_reduce"), op, **options)

    def all_gather(parts, tensor, **options):
        if options.get("group") is not None:  # the side group is of gloo
            return real["all_gather"](parts, tensor, **options)
        return real["all_gather"]([host(part, "all_gather") for part in parts], host(tensor, "all_gather"), **options)

    def of_objects(name):
        def call(*args, **options):
            if not chosen:
                raise RuntimeError(f"{name} before torch.cuda.set_device: every rank would use cuda:0 (pretend nccl)")
            return real[name](*args, **options)

        return call

    patches = {"init_process_group": init_process_group, "all_reduce": all_reduce, "all_gather": all_gather}
    patches |= {name: of_objects(name) for name in ("broadcast_object_list", "all_gather_object", "barrier")}
    with contextlib.ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(mock.patch.object(dist, name, value))
        stack.enter_context(mock.patch.object(torch.cuda, "set_device", chosen.append))
        yield
