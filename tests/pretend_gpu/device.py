"""Tensors that say cuda:0 and hold their numbers in host memory, and the mode that runs operations on them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from pretend_gpu.ledger import Ledger, product_line
from pretend_gpu.patches import patched

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
BLOCK = 512  # bytes: what the allocator rounds up to

PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1, "addmm_": 1, "baddbmm_": 1}
"""Matrix products that may take TF32 -> the place of their first factor; products with a vector never do."""
WAITS = {"nonzero", "_unique2", "unique_dim", "unique_consecutive", "masked_select", "equal", "_local_scalar_dense"}
"""Operations whose result, or its size, the host must know."""
UNORDERED = {
    "index_add", "index_add_", "scatter_add", "scatter_add_", "put_", "cumsum", "histc", "bincount", "embedding_bag",
    "upsample_bilinear2d_backward", "upsample_bicubic2d_backward", "adaptive_avg_pool2d_backward",
    "max_pool2d_with_indices_backward", "_scaled_dot_product_efficient_attention_backward", "nll_loss2d_forward",
}  # fmt: skip
"""Sums of floating-point numbers by atomics (torch.use_deterministic_algorithms lists them)."""
ALWAYS_UNORDERED = {
    "cumsum", "histc", "bincount", "upsample_bicubic2d_backward", "adaptive_avg_pool2d_backward", "nll_loss2d_forward",
    "max_pool2d_with_indices_backward",
}  # fmt: skip
"""Those of them without a variant for torch.use_deterministic_algorithms."""
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
NO_SCALARS = {"mm", "bmm", "addmm", "cat", "stack", "index_add_", "gather", "scatter_"}
"""Operations that refuse even a 0-dimensional tensor of the host beside tensors of the device."""
TAKES_BOTH = {"is_same_size", "_has_compatible_shallow_copy_type", "_amp_foreach_non_finite_check_and_unscale_"}


class DeviceTensor(torch.Tensor):
    """host: the numbers, which only the mode may touch."""

    host: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host, requires_grad=False):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, host.size(), strides=host.stride(), storage_offset=host.storage_offset(), dtype=host.dtype,
            layout=host.layout, device=CUDA, requires_grad=requires_grad,
        )  # fmt: skip
        tensor.host = host
        return tensor

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        assert PretendCuda.current is not None, "a tensor outlived the pretend device"
        return PretendCuda.current.run(operation, args, kwargs or {})

    def __repr__(self, *, tensor_contents=None):
        return f"DeviceTensor({self.host!r})"

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *, force=False):
        if force:
            return self.detach().cpu().numpy()
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first (pretend device)")

    def __array__(self, dtype=None, copy=None):
        return self.numpy()

    def __reduce_ex__(self, protocol):
        raise RuntimeError("a tensor of the pretend device was pickled")

    def record_stream(self, stream):
        """Nothing: there is one stream."""


class PretendCuda:
    """The device, within the block of a call. memory: bytes that it has. tf32: round the factors of fp32 products to
    TF32 where PyTorch's settings allow a GPU to do so."""

    current: PretendCuda | None = None

    def __init__(self, memory: int | None = None, tf32: bool = False) -> None:
        self.memory, self.tf32, self.ledger = memory or 140 << 30, tf32, Ledger()
        self._holders: dict[int, list[int]] = {}  # address of a storage -> [its bytes, tensors that share it]
        self._references: set[weakref.ref] = set()
        self._lock = threading.RLock()

    @contextmanager
    def __call__(self) -> Iterator[Ledger]:
        PretendCuda.current = self
        try:
            with patched(self, DeviceTensor, Mode), Mode():
                yield self.ledger
        finally:
            PretendCuda.current = None

    def run(self, operation, args, kwargs):
        name = operation._schema.name.removeprefix("aten::")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        here = [tensor for tensor in tensors if isinstance(tensor, DeviceTensor)]
        asked = _is_cuda(kwargs.get("device"))
        if name in ("is_pinned", "_pin_memory", "pin_memory"):
            return self._pin(name, args[0])
        if not here and not asked:
            if kwargs.get("pin_memory"):
                kwargs = {**kwargs, "pin_memory": False}
            return operation(*args, **kwargs)
        if torch._C._dispatch_has_kernel_for_dispatch_key(operation.name(), "CompositeImplicitAutograd"):
            with Mode():  # inference mode brings composed operations here whole
                parts = operation.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if name == "_to_copy":
            return self._convert(operation, args[0], kwargs)
        if name in ("copy_", "_copy_from"):
            return self._copy(operation, args, kwargs)
        _refuse_mixed(name, args, tensors, here)
        self._note(name, operation, args, here)
        plain = {**kwargs, "device": CPU, "pin_memory": False} if asked else kwargs
        plain = {key: value for key, value in plain.items() if key != "pin_memory" or value}
        host_args = self._rounded(name, _on_host(args))
        if operation is torch.ops.aten.mm.dtype:  # products of bf16 with fp32 sums, which no CPU has
            result = torch.ops.aten.mm(*(factor.float() for factor in host_args[:2]))
        else:
            result = operation(*host_args, **_on_host(plain))
        if not operation.is_view:
            self._count(name, host_args, result)
        return self._returned(operation, args, kwargs, result)

    # what a GPU does otherwise than a host

    def _pin(self, name, tensor):
        if isinstance(tensor, DeviceTensor):
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        return False if name == "is_pinned" else tensor.clone(memory_format=torch.preserve_format)

    def _convert(self, operation, tensor, kwargs):
        from_device = isinstance(tensor, DeviceTensor)
        target = kwargs.get("device")
        to_device = from_device if target is None else _is_cuda(target)
        plain = {key: value for key, value in kwargs.items() if key != "pin_memory"}
        result = operation(_on_host(tensor), **(plain if target is None else {**plain, "device": CPU}))
        if to_device and not from_device:
            self.ledger.upload(tensor)
        if from_device and not to_device:
            self.ledger.download(tensor, waits=not kwargs.get("non_blocking"))
            return result
        return self._wrapped(result)

    def _copy(self, operation, args, kwargs):
        target, source = args[:2]
        to_device, from_device = isinstance(target, DeviceTensor), isinstance(source, DeviceTensor)
        if to_device and not from_device and source.dim():
            self.ledger.upload(source)
        if from_device and not to_device:
            self.ledger.download(source, waits=not kwargs.get("non_blocking", len(args) > 2 and args[2]))
        operation(_on_host(target), _on_host(source), *args[2:], **kwargs)
        return target

    def _rounded(self, name, args):
        """The arguments, with the factors of a product or convolution rounded to TF32 where the settings allow it."""
        if not self.tf32:
            return args
        if name in PRODUCTS and torch.backends.cuda.matmul.fp32_precision == "tf32":
            first = PRODUCTS[name]
        elif name == "convolution" and torch.backends.cudnn.conv.fp32_precision == "tf32":
            first = 0
        else:
            return args
        return tuple(_tf32(a) if first <= place <= first + 1 else a for place, a in enumerate(args))

    # the ledger

    def _note(self, name, operation, args, here):
        indexed = name in INDEXED
        by_mask = indexed and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        if name in WAITS or by_mask or (name == "repeat_interleave" and operation._overloadname == "Tensor"):
            self.ledger.waits[f"{name} {product_line()}"] += 1
        adds = name in UNORDERED or (indexed and name != "index" and len(args) > 3 and args[3])
        if not any(tensor.dtype.is_floating_point for tensor in here):
            return
        if torch.are_deterministic_algorithms_enabled():
            if name in ALWAYS_UNORDERED:
                raise RuntimeError(f"{name} does not have a deterministic implementation (pretend device)")
        elif adds:
            self.ledger.unordered[f"{name} {product_line()}"] += 1

    def _count(self, name, args, result):
        made = [leaf for leaf in tree_leaves((args, result)) if isinstance(leaf, torch.Tensor)]
        self.ledger.traffic += sum(tensor.numel() * tensor.element_size() for tensor in made)
        if name in PRODUCTS:
            left, right = args[PRODUCTS[name] : PRODUCTS[name] + 2]
            self.ledger.flops[str(left.dtype).removeprefix("torch.")] += 2 * left.numel() * right.shape[-1]

    def _wrapped(self, host):
        if isinstance(host, DeviceTensor):
            return host
        address, size = host.untyped_storage().data_ptr(), -(-host.untyped_storage().nbytes() // BLOCK) * BLOCK
        with self._lock:
            if size and address not in self._holders:
                if self.ledger.live + size > self.memory:
                    raise torch.OutOfMemoryError(
                        f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB (pretend device)"
                    )
                self._holders[address] = [size, 0]
                self.ledger.hold(size)
            tensor = DeviceTensor(host)
            if size:
                self._holders[address][1] += 1

                def gone(reference, address=address):
                    with self._lock:
                        self._references.discard(reference)
                        holder = self._holders[address]
                        holder[1] -= 1
                        if holder[1] == 0:
                            self.ledger.live -= holder[0]
                            del self._holders[address]

                self._references.add(weakref.ref(tensor, gone))
        return tensor

    def _returned(self, operation, args, kwargs, result):
        """Tensors written in place are returned themselves."""
        schema = operation._schema
        given = {**dict(zip((a.name for a in schema.arguments), args, strict=False)), **kwargs}
        written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        written = [given[name] for name in written if given.get(name) is not None]
        if written and schema.returns and schema.returns[0].alias_info is not None:
            assert all(getattr(tensor, "host", tensor).shape == tensor.shape for tensor in written), (
                f"{operation} resized"
            )
            return written[0] if len(schema.returns) == 1 else tuple(written)
        views = any(value.alias_info is not None for value in schema.returns)
        base = next((argument for argument in args if isinstance(argument, DeviceTensor)), None)
        if views and base is not None and torch.is_inference_mode_enabled() and not base.is_inference():
            with torch.inference_mode(False):  # a view of a tensor that counts its versions counts them too
                return tree_map_only(torch.Tensor, self._wrapped, result)
        return tree_map_only(torch.Tensor, self._wrapped, result)


class Mode(TorchDispatchMode):
    """Sends every operation of its thread to the current device, since new tensors may be asked for there."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert PretendCuda.current is not None
        return PretendCuda.current.run(operation, args, kwargs or {})


def _on_host(tree):
    return tree_map_only(DeviceTensor, lambda tensor: tensor.host, tree)


def _is_cuda(device) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _refuse_mixed(name, args, tensors, here):
    """Raise what PyTorch raises where tensors of both devices meet."""
    if not here or name in TAKES_BOTH:
        return
    others = [tensor for tensor in tensors if not isinstance(tensor, DeviceTensor)]
    if name in INDEXED:
        if not isinstance(args[0], DeviceTensor):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        values = args[2] if len(args) > 2 else None
        others = [values] if isinstance(values, torch.Tensor) and not isinstance(values, DeviceTensor) else []
    if name.startswith("_foreach_") and all(tensor.dim() == 0 for tensor in others):
        return
    if any(tensor.dim() > 0 or name in NO_SCALARS for tensor in others):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"(pretend device, {name} of {[tuple(tensor.shape) for tensor in others]})"
        )


def _tf32(tensor):
    """The nearest numbers with 10 bits of mantissa."""
    if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.float32:
        return tensor
    bits = tensor.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32).view(tensor.shape)
