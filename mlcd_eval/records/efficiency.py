"""What it costs to encode an image: part of a record, and kept beside features, so that later records can state it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Machine(BaseModel):
    """Where and how features were made. date: ISO 8601, UTC. threads: of PyTorch. ranks: processes that shared the
    images. layers: all that the pass computed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str
    device: str
    device_name: str
    cpus: int | None
    threads: int
    ranks: int
    workers: int
    batch_size: int
    precision: str
    layers: tuple[str, ...]


class Efficiency(BaseModel):
    """images_per_s: once the pass was under way, with decoding, of all ranks together; over images_timed images.
    num_params: of the part of the model that an image passes through. gflops: of one image, by torch's FlopCounterMode,
    which counts a multiplication with its addition as two operations (papers often count them as one).
    peak_memory_bytes: during the pass, of the first rank; memory_of: what PyTorch allocated on the device, or what of
    the process was in memory, without processes that decode images. bytes_per_embedding: of an image as the protocol
    compares it. unknown: field -> why it is None. measured: None if nothing of the pass is known, as of features that
    an earlier version kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images_per_s: float | None = None
    images_timed: int = 0
    num_params: int | None = None
    gflops: float | None = None
    peak_memory_bytes: int | None = None
    memory_of: Literal["device", "process"] | None = None
    bytes_per_embedding: int | None = None
    unknown: dict[str, str] = Field(default_factory=dict)
    measured: Machine | None = None
