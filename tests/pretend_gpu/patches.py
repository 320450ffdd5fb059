"""What PyTorch must believe while the pretend device is on: that a GPU is there, and in backward that none is."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import mmap
import platform
import threading
import types
from collections.abc import Iterator
from unittest import mock

import torch


@contextlib.contextmanager
def patched(device, tensor_class, mode) -> Iterator[None]:
    """Patch torch for a device (memory, ledger) whose tensors are of a class; threads that start enter a mode."""
    torch._C._ensureCUDADeviceGuardSet()
    with contextlib.ExitStack() as stack:
        for name, value in _cuda_functions(device).items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        functional = torch.nn.functional
        attention = _attention(functional.scaled_dot_product_attention, tensor_class)
        stack.enter_context(mock.patch.object(functional, "scaled_dot_product_attention", attention))
        stack.enter_context(mock.patch.object(threading.Thread, "run", _run_with_mode(threading.Thread.run, mode)))
        stack.enter_context(_fused_optimizers(tensor_class))
        if importlib.util.find_spec("torchcodec"):
            decoders = importlib.import_module("torchcodec.decoders")
            stack.enter_context(mock.patch.object(decoders, "decode_jpeg", _decode_jpeg(decoders.decode_jpeg)))
        stack.enter_context(_no_accelerator())
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(_kept(torch.__future__.get_overwrite_module_params_on_conversion,
                                  torch.__future__.set_overwrite_module_params_on_conversion))  # fmt: skip
        stack.enter_context(_kept(torch._C._only_lift_cpu_tensors, torch._C._set_only_lift_cpu_tensors))
        yield


def _cuda_functions(device):
    properties = types.SimpleNamespace(
        name="pretend", total_memory=device.memory, major=9, minor=0, multi_processor_count=132, warp_size=32
    )
    answers = {
        "is_available": True, "device_count": 1, "current_device": 0, "set_device": None, "synchronize": None,
        "get_device_name": "pretend CUDA device", "get_device_properties": properties, "empty_cache": None,
        "get_device_capability": (9, 0), "is_bf16_supported": True, "reset_peak_memory_stats": None, "_lazy_init": None,
    }  # fmt: skip
    functions = {name: (lambda *args, value=value, **kwargs: value) for name, value in answers.items()}
    ledger = device.ledger
    functions["mem_get_info"] = lambda *args: (device.memory - ledger.live, device.memory)
    functions["memory_allocated"] = lambda *args: ledger.live
    functions["memory_reserved"] = lambda *args: ledger.live
    functions["max_memory_allocated"] = lambda *args: ledger.peak
    functions["cudart"] = lambda: _Runtime
    functions["Stream"] = functions["Event"] = functions["current_stream"] = functions["default_stream"] = _Queue
    functions["stream"] = lambda stream: contextlib.nullcontext()
    return functions


class _Runtime:
    """Calls of CUDA's runtime that succeed."""

    @staticmethod
    def cudaHostRegister(address, size, flags):
        return 0

    @staticmethod
    def cudaHostUnregister(address):
        return 0


class _Queue:
    """A stream or an event: everything is done at once."""

    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        return lambda *args, **kwargs: name == "query" or _Queue()

    def elapsed_time(self, end):
        return 0.0


def _run_with_mode(run, mode):
    def with_mode(thread):
        with mode():
            run(thread)

    return with_mode


def _attention(real, tensor_class):
    """The plain formula on the device, since PyTorch's choice of a kernel asks the driver."""

    def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
        options = {"scale": scale, "enable_gqa": enable_gqa}
        if not isinstance(query, tensor_class):
            return real(query, key, value, attn_mask, dropout_p, is_causal, **options)
        if torch.is_autocast_enabled("cuda"):
            reduced = torch.get_autocast_dtype("cuda")
            query, key, value, attn_mask = (
                part.to(reduced) if part is not None and part.dtype == torch.float32 else part
                for part in (query, key, value, attn_mask)
            )
        if not query.dtype == key.dtype == value.dtype:
            raise RuntimeError("Expected query, key, and value to have the same dtype")
        with torch.autocast("cuda", enabled=False):
            return torch.ops.aten._scaled_dot_product_attention_math(
                query, key, value, attn_mask, dropout_p, is_causal, **options
            )[0]

    return attention


def _decode_jpeg(real):
    """The CPU's decoder in place of nvJPEG, which puts its pixels on the device."""

    def decode_jpeg(files, *, device="cpu", **options):
        assert device == "cpu" or isinstance(files, list), "a GPU decodes whole batches"
        decoded = real(files, **options)
        return decoded if device == "cpu" else [image.to(device) for image in decoded]

    return decode_jpeg


@contextlib.contextmanager
def _fused_optimizers(tensor_class) -> Iterator[None]:
    """Optimizers update lists of parameters at once for tensors of the classes that they know."""
    modules = [importlib.import_module(name) for name in ("torch.optim.optimizer", "torch.utils._foreach_utils")]
    for module in modules:
        module._foreach_supported_types.append(tensor_class)
    try:
        yield
    finally:
        for module in modules:
            module._foreach_supported_types.remove(tensor_class)


@contextlib.contextmanager
def _kept(get, switch) -> Iterator[None]:
    """Switch something on, and back to what it was."""
    before = get()
    switch(True)
    try:
        yield
    finally:
        switch(before)


RETURN_ZERO = {"x86_64": b"\x31\xc0\xc3", "aarch64": b"\x00\x00\x80\x52\xc0\x03\x5f\xd6"}
ASKED_IN_BACKWARD = ("_ZN2at11accelerator14getAcceleratorEb", "_ZN2at11accelerator13isAcceleratorEN3c1010DeviceTypeE")


@contextlib.contextmanager
def _no_accelerator() -> Iterator[None]:
    """Backward asks these two functions whether there are streams to wait for, then the driver, which is not there. No
    setting of Python's decides their answer, so that they answer no by their first instructions."""
    library = ctypes.CDLL(f"{torch.__path__[0]}/lib/libtorch_cpu.so")
    code, kept = RETURN_ZERO[platform.machine()], []
    try:
        for name in ASKED_IN_BACKWARD:
            address = ctypes.cast(library[name], ctypes.c_void_p).value
            page = address & ~(mmap.PAGESIZE - 1)
            if ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), ctypes.c_size_t(2 * mmap.PAGESIZE), 7):
                raise OSError("this system lets no program change its code: the pretend device has no backward")
            kept.append((address, ctypes.string_at(address, len(code))))
            ctypes.memmove(address, code, len(code))
        yield
    finally:
        for address, before in kept:
            ctypes.memmove(address, before, len(before))
