"""A split of grey images and a model whose features are computed by hand from their grey levels."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mlcd_eval.data.base import Sample, ShardScan, Split
from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.stages import Stages
from mlcd_eval.features.encode import EncodeOptions


def grey(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (level, level, level)).save(file, "PNG")
    return file.getvalue()


def preprocess(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1)


STAGES = Stages(preprocess, (3, 4, 4))


class MeanEncoder(Encoder):
    """penultimate: the mean grey level and its square. projected: minus the level. doubled: twice the level, which no
    info names. only: the one layer that the info names. seen: images and texts encoded."""

    def __init__(self, largest_batch: int = 1000, only: str | None = None) -> None:
        layers = {layer: width for layer, width in (("penultimate", 2), ("projected", 1)) if only in (None, layer)}
        self.info = EncoderInfo("fake", "fake", "f" * 64, "none", layers, (4, 4), 0, True)
        self.preprocess = preprocess
        self.seen = 0
        self.largest_batch = largest_batch

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        if len(pixels) > self.largest_batch:
            raise torch.OutOfMemoryError("simulated")
        self.seen += len(pixels)
        mean = pixels.mean((1, 2, 3))
        outputs = {"penultimate": torch.stack([mean, mean**2], 1), "projected": -mean[:, None]}
        outputs["doubled"] = 2 * mean[:, None]
        return {layer: outputs[layer] for layer in layers}

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        self.seen += len(texts)
        return torch.tensor([[float(len(text))] for text in texts])


@dataclass
class ListShard:
    name: str
    items: list[Sample]
    remote: bool = False
    reads: int = field(default=0)

    def scan(self) -> ShardScan:
        return ShardScan(f"{self.name}{[s.key for s in self.items]}", None if self.remote else len(self.items))

    def samples(self) -> Iterator[Sample]:
        self.reads += 1
        yield from self.items


def make_split(sizes: Sequence[int] = (5, 0, 3), broken: Sequence[int] = (), remote: bool = False) -> Split:
    levels = iter(range(sum(sizes)))
    shards = []
    for number, size in enumerate(sizes):
        samples = []
        for level in (next(levels) for _ in range(size)):
            image = b"not an image" if level in broken else grey(level)
            samples.append(Sample(f"k{level}", image, label=level % 2))
        shards.append(ListShard(f"shard{number}", samples, remote))
    return Split("toy", "test", shards)


def options(tmp_path: Path, **changes: object) -> EncodeOptions:
    return EncodeOptions(cache=tmp_path, **changes)  # type: ignore[arg-type]
