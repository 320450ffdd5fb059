"""A model's own masks or answers, kept line by line as they come, so that a stopped run goes on behind the last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from mlcd_eval.data.base import Annotation, Expression, Split
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.errors import DataError
from mlcd_eval.features.forward import Slices
from mlcd_eval.features.store import in_use
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.support.distributed import broadcast_object, on_every_rank, rank, world_size
from mlcd_eval.support.fileio import atomic_write

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Predictions:
    """By id of what was asked; made: how many were asked now rather than read."""

    by_id: Mapping[Hashable, Any]
    made: int


def predict(
    encoder: Encoder,
    split: Split,
    asked: Sequence[Annotation],
    ability: str,
    fingerprint: str,
    cache: Path,
    precision: str = "fp32",
    batch_size: int = 1,
    prompt: str = "{question}",
    max_new_tokens: int = 32,
    advance: Callable[[int], None] = lambda _: None,
) -> Predictions:
    """Ask the model of every annotation of a split; every rank must call this, and asks of its own images.

    fingerprint: of the split with its annotations; prompt: around a question; max_new_tokens: of an answer. Masks come
    back as RLE at the image's own size. Raises DataError for an image that cannot be read.
    """
    key = [FORMAT_VERSION, ability, fingerprint, precision, prompt, max_new_tokens, *_identity(encoder.info)]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    folder = cache / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / f"{name}.{rank()}.jsonl"
    with FileLock(folder / f"{name}.lock") if rank() == 0 else contextlib.nullcontext(), in_use(cache):
        known = broadcast_object(_tidy(folder, name) if rank() == 0 else None)
        advance(sum(_id(one) in known for one in asked))

        def ask() -> int:
            made, slices = 0, Slices(batch_size)
            with own.open("a", encoding="utf-8") as file:
                for batch in _batches(split, _share(asked, known), batch_size):
                    found = slices(batch, lambda part: _ask(encoder, ability, part, prompt, max_new_tokens))
                    for (one, _), response in zip(batch, chain.from_iterable(found), strict=True):
                        file.write(_line(_id(one), response))
                    file.flush()
                    made += len(batch)
                    advance(len(batch))
            return made

        made = sum(on_every_rank(ask))
        found = _read(folder, name)
    if any(_id(one) not in found for one in asked):
        raise DataError(f"{own} went away: expected the cache to stay while a run uses it (the same command goes on)")
    return Predictions(found, made)


def _share(asked: Sequence[Annotation], known: Mapping[Hashable, Any]) -> list[Annotation]:
    """What this rank asks: whole images, in turn."""
    new = [one for one in asked if _id(one) not in known]
    images = {image: number for number, image in enumerate(dict.fromkeys(one.image for one in new))}
    return [one for one in new if images[one.image] % world_size() == rank()]


def _id(one: Annotation) -> int | str:
    return one.sent_id if isinstance(one, Expression) else one.question_id


def _identity(info: EncoderInfo) -> list[Any]:
    return [info.fingerprint, info.preprocessing, dict(info.extra)]


def _read(folder: Path, name: str) -> dict[Hashable, Any]:
    """What every rank, of this run and of those before it, has kept."""
    paths = sorted(folder.glob(f"{name}.*.jsonl"))
    return dict(kept for path in paths for line in path.read_bytes().splitlines() if (kept := _parsed(line)))


def _tidy(folder: Path, name: str) -> dict[Hashable, Any]:
    """What is kept, once it is rid of the half line that a killed run left and of damaged ones, which are told."""
    for path in folder.glob(f"{name}.*.jsonl"):
        contents = path.read_bytes()
        lines = contents.splitlines(keepends=True)
        good = [line for line in lines if line.endswith(b"\n") and _parsed(line)]
        if len(good) < len(lines) - (not contents.endswith(b"\n")):
            warnings.warn(f"stored predictions in {path} are damaged: they are asked for again", stacklevel=2)
        if len(good) < len(lines):
            with atomic_write(path) as file:
                file.writelines(good)
    return _read(folder, name)


def _line(number: int | str, response: Any) -> str:
    """Checksum and contents."""
    text = json.dumps([number, response])
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _parsed(line: bytes) -> tuple[Hashable, Any] | None:
    """(id, response) of a line, None for a damaged one."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    number, response = json.loads(text)
    return number, response


_Item = tuple[Annotation, Image.Image]


def _batches(split: Split, asked: Sequence[Annotation], size: int) -> Iterator[list[_Item]]:
    """In the order of the images, each decoded once."""
    by_image: dict[str, list[Annotation]] = {}
    for one in asked:
        by_image.setdefault(one.image, []).append(one)
    batch: list[_Item] = []
    for shard in split.shards:
        for sample in shard.samples():
            if sample.key not in by_image:
                continue
            image = decode(sample.image, sample.key)
            for one in by_image.pop(sample.key):
                batch.append((one, image))
                if len(batch) == size:
                    yield batch
                    batch = []
    assert not by_image, "every annotation has its image in the split"
    if batch:
        yield batch


def _ask(encoder: Encoder, ability: str, batch: Sequence[_Item], prompt: str, max_new_tokens: int) -> list[Any]:
    if ability == "answer":
        questions = [prompt.replace("{question}", one.text) for one, _ in batch]
        return encoder.answer([image for _, image in batch], questions, max_new_tokens)
    return [encode(_mask(encoder.segment(image, one.text), image.size)) for one, image in batch]


def _mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bool or logits (h, w) -> bool at the image's size (width, height); logits are scaled before they are cut."""
    import torch

    values = torch.as_tensor(np.asarray(mask))
    while values.dim() > 2 and len(values) == 1:
        values = values[0]
    inside = (
        values.float() - 0.5 if values.dtype in (torch.bool, torch.uint8, torch.int64, torch.int32) else values.float()
    )
    assert inside.dim() == 2, f"segment returned {tuple(values.shape)}, expected (h, w)"
    if tuple(inside.shape) != (size[1], size[0]):
        inside = torch.nn.functional.interpolate(inside[None, None], size=(size[1], size[0]), mode="bilinear")[0, 0]
    return (inside > 0).cpu().numpy()
