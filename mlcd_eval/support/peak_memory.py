"""The most memory that a stretch of work takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PROCESS = Path("/proc/self")


class PeakMemory:
    """Measured from its creation on: on a CUDA device what PyTorch allocates there, else what of this process is in
    memory (without the processes that decode images).

    on_device: which of the two.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.on_device = device.type == "cuda"
        self._starts = True
        if self.on_device:
            import torch

            torch.cuda.reset_peak_memory_stats(device)
        else:
            try:
                (_PROCESS / "clear_refs").write_text("5")  # sets the peak to what is in memory now
            except OSError:
                self._starts = False

    def in_bytes(self) -> int | None:
        """Return the peak, None where the system keeps none that can be set back."""
        if self.on_device:
            import torch

            return torch.cuda.max_memory_allocated(self._device)
        try:
            status = (_PROCESS / "status").read_text()
        except OSError:
            return None
        peak = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        return 1024 * int(peak[1]) if peak and self._starts else None
