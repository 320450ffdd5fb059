"""This machine's free memory, checked before it is needed."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.errors import ConfigError

MEMORY_FILE = Path("/proc/meminfo")


def check_memory(needed: int, what: str) -> None:
    """Raise ConfigError if less than `needed` bytes are available. what: a plural noun, what needs them."""
    if not MEMORY_FILE.is_file():
        return
    for line in MEMORY_FILE.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
            if free < needed:
                raise ConfigError(
                    f"memory: got {free >> 20:,} MB available, expected {-(-needed >> 20):,} MB for {what}"
                )
