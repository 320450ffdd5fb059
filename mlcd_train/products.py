"""Products of many rows with many centres: in fp32, TF32 or bf16, always with fp32 sums.

On a GPU TF32 rounds factors to 10 bits of mantissa and bf16 to 7; fp32 keeps 23. What that changes is measured in
benchmarks/results/products.txt.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.arithmetic import tf32

Products = Literal["fp32", "tf32", "bf16"]


def products_on(device: torch.device, setting: str) -> Products:
    """What the setting `products` means on a device: auto is TF32 on a GPU, fp32 on a CPU. Raises ConfigError for TF32
    on a CPU, which has none."""
    if setting == "auto":
        return "tf32" if device.type == "cuda" else "fp32"
    if setting == "tf32" and device.type == "cpu":
        raise ConfigError("products: tf32 needs a GPU, got device cpu: expected fp32, bf16 or auto")
    return setting  # type: ignore[return-value]


def product(rows: Tensor, others: Tensor, kind: Products) -> Tensor:
    """Rows (n, D) and others (k, D), both fp32 -> rows @ others.T (n, k) fp32; gradients are computed alike."""
    return rows @ others.T if kind == "fp32" else _Product.apply(rows, others, kind)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, others: Tensor, kind: Products) -> Tensor:
        ctx.save_for_backward(rows, others)
        ctx.kind = kind
        return _multiplied(rows, others.T, kind)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, others = ctx.saved_tensors
        return _multiplied(grad, others, ctx.kind), _multiplied(grad.T, rows, ctx.kind), None


def _multiplied(left: Tensor, right: Tensor, kind: Products) -> Tensor:
    if kind == "tf32":
        with tf32():
            return left @ right
    left, right = left.bfloat16(), right.bfloat16()
    if left.device.type == "cuda" and hasattr(torch.ops.aten.mm, "dtype"):  # from torch 2.8 on
        return torch.mm(left, right, out_dtype=torch.float32)
    with tf32():  # bf16 numbers are TF32 numbers, so that this is the same product
        return left.float() @ right.float()
