"""What a pass over images costs: measured while it encodes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

import torch

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.features.cost import Cost, cost_of
from mlcd_eval.features.decode import Batch
from mlcd_eval.features.forward import Forward
from mlcd_eval.records.efficiency import Efficiency, Machine
from mlcd_eval.records.environment import environment
from mlcd_eval.support.disk_memo import memoised
from mlcd_eval.support.distributed import rank

_MEMO = "costs"
"""The folder of the cache where costs are remembered."""
_NOT_COUNTED = "PyTorch cannot count what encodes the images"


@dataclass(frozen=True)
class RankPass:
    """What one rank did: images encoded, images timed and their number a second (None: too few), cost of an image (on
    the first rank) and memory, and its last size of a batch."""

    encoded: int
    timed: int
    images_per_s: float | None
    cost: Cost | None
    peak_memory: int | None
    batch_size: int


def cost_of_first(
    encoder: Encoder, forward: Forward, batches: Iterator[Batch], layers: Sequence[str], cache: Path
) -> tuple[Cost | None, Iterator[Batch]]:
    """Return what an image of the first batch costs at these layers, and all batches. It is counted on the first rank,
    by one call more, once per model and size of image; None where it cannot be."""
    first = next(batches, None) if encoder.costed and rank() == 0 else None
    if first is None or not len(first.pixels):
        return None, batches if first is None else chain([first], batches)
    pixels = first.pixels[:1]
    identity = f"{encoder.info.fingerprint} {sorted(layers)} {tuple(pixels.shape[1:])} {torch.__version__}"
    try:
        cost = memoised(cache / _MEMO, identity, Cost, lambda: cost_of(lambda: forward.images(pixels, layers).arrays()))
    except Exception:  # of a model that cannot be watched; one that cannot be called fails in the pass that follows
        cost = None
    return cost, chain([first], batches)


def efficiency(
    encoder: Encoder, layers: Sequence[str], precision: str, workers: int, ranks: Sequence[RankPass]
) -> Efficiency:
    """Return what a pass of all ranks cost."""
    first, busy = ranks[0], [each for each in ranks if each.encoded]
    rates = [each.images_per_s for each in busy if each.images_per_s is not None]
    here, cost = environment(str(encoder.device)), first.cost or Cost(None, None)
    on_device = encoder.device.type == "cuda"
    unknown = {
        "images_per_s": None if len(rates) == len(busy) else "the pass had too few batches after its first ones",
        "num_params": None if cost.parameters else _NOT_COUNTED,
        "gflops": None if cost.flops else _NOT_COUNTED,
        "peak_memory_bytes": None if first.peak_memory else "this system keeps no peak that can be set back",
    }
    return Efficiency(
        images_per_s=sum(rates) if unknown["images_per_s"] is None else None,
        images_timed=sum(each.timed for each in busy) if unknown["images_per_s"] is None else 0,
        num_params=cost.parameters,
        gflops=cost.flops / 1e9 if cost.flops else None,
        peak_memory_bytes=first.peak_memory,
        memory_of="device" if on_device else "process",
        unknown={name: why for name, why in unknown.items() if why is not None},
        measured=Machine(
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            device=str(here["device"]),
            device_name=str(here["device_name"]),
            cpus=int(here["cpus"]) if here["cpus"] else None,
            threads=int(here["threads"] or 1),
            ranks=len(ranks),
            workers=workers,
            batch_size=first.batch_size,
            precision=precision,
            layers=tuple(layers),
        ),
    )
