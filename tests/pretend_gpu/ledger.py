"""What a run asked of the pretend device, by the product's line that asked."""

from __future__ import annotations

import os
import sys
import zlib
from collections import Counter

import torch

PACKAGES = ("mlcd_eval", "mlcd_train")
LARGE = 1 << 14  # bytes: only uploads of this size are compared with earlier ones


class Ledger:
    """waits: `operation line` -> times that the host waits for the device. uploaded, downloaded: line -> bytes.
    repeated: line -> bytes uploaded although the same bytes had been uploaded before. unordered: floating-point sums
    whose order a GPU leaves open. flops: type of number -> multiplications and additions of matrix products. traffic:
    bytes that operations read and write. peak: the most bytes held at a time, reached at peak_line."""

    def __init__(self) -> None:
        self.waits: Counter[str] = Counter()
        self.uploaded: Counter[str] = Counter()
        self.downloaded: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.unordered: Counter[str] = Counter()
        self.flops: Counter[str] = Counter()
        self.traffic = self.live = self.peak = 0
        self.peak_line = ""
        self._seen: set[tuple[int, int]] = set()

    def upload(self, tensor) -> None:
        size, line = _bytes(tensor), product_line()
        self.uploaded[line] += size
        if size >= LARGE:
            content = size, zlib.crc32(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy())
            if content in self._seen:
                self.repeated[line] += size
            self._seen.add(content)

    def download(self, tensor, waits: bool) -> None:
        line = product_line()
        self.downloaded[line] += _bytes(tensor)
        if waits:
            self.waits[f"copy to host {line}"] += 1

    def hold(self, size: int) -> None:
        self.live += size
        if self.live > self.peak:
            self.peak, self.peak_line = self.live, product_line()

    def summary(self) -> dict:
        """The contents as JSON takes them."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def total(self, counter: str, *lines: str) -> int:
        """The sum of a counter over the lines that contain one of the given texts; of all lines without any."""
        items = getattr(self, counter).items()
        return sum(value for line, value in items if not lines or any(part in line for part in lines))


def product_line() -> str:
    """The innermost line of the product on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        for package in PACKAGES:
            _, found, inside = path.rpartition(f"{os.sep}{package}{os.sep}")
            if found:
                return f"{package}/{inside}:{frame.f_lineno}"
        frame = frame.f_back
    return "test"


def _bytes(tensor) -> int:
    return tensor.numel() * tensor.element_size()
