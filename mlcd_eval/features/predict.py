"""A model's own masks or answers, each stored as soon as it is made, so that a stopped run resumes after the last."""

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

from mlcd_eval.data.annotations import Expression, OnOneImage
from mlcd_eval.data.base import Split
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.errors import DataError
from mlcd_eval.features.forward import Slices
from mlcd_eval.features.store import in_use
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_eval.support.distributed import broadcast_object, on_every_rank, rank, world_size
from mlcd_eval.support.fileio import atomic_write, naming

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Predictions:
    """by_id: predictions by the id of their annotation. made: how many were made now rather than read."""

    by_id: Mapping[Hashable, Any]
    made: int


def predict(
    encoder: Encoder,
    split: Split,
    annotations: Sequence[OnOneImage],
    ability: str,
    fingerprint: str,
    cache: Path,
    precision: str = "fp32",
    batch_size: int = 1,
    prompt: str = "{question}",
    max_new_tokens: int = 32,
    advance: Callable[[int], None] = lambda _: None,
) -> Predictions:
    """Return the model's predictions for annotations of a split, from the cache or made now.

    Every rank must call this, and predicts for its share of the images. fingerprint: of the split with its annotations.
    prompt: the text around a question. max_new_tokens: the length of an answer. Masks are RLE at the image's own size.
    Raises DataError for an image that cannot be read.
    """
    key = [FORMAT_VERSION, ability, fingerprint, precision, prompt, max_new_tokens, *_identity(encoder.info)]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    folder = cache / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    rank_file = folder / f"{name}.{rank()}.jsonl"
    with FileLock(folder / f"{name}.lock") if rank() == 0 else contextlib.nullcontext(), in_use(cache):
        stored = broadcast_object(_tidied(folder, name) if rank() == 0 else None)
        advance(sum(_id(annotation) in stored for annotation in annotations))

        def make() -> int:
            count, slices = 0, Slices(batch_size)
            with naming(rank_file), rank_file.open("a", encoding="utf-8") as file:
                for batch in _batches(split, _share(annotations, stored), batch_size):
                    outputs = slices(batch, lambda part: _call(encoder, ability, part, prompt, max_new_tokens))
                    for (annotation, _), prediction in zip(batch, chain.from_iterable(outputs), strict=True):
                        file.write(_line(_id(annotation), prediction))
                    file.flush()
                    count += len(batch)
                    advance(len(batch))
            return count

        num_made = sum(on_every_rank(make))
        by_id = _stored(folder, name)
    if any(_id(annotation) not in by_id for annotation in annotations):
        raise DataError(
            f"{rank_file} disappeared: expected the cache to stay while a run uses it (run the same command again to "
            f"resume)"
        )
    return Predictions(by_id, num_made)


def _share(annotations: Sequence[OnOneImage], stored: Mapping[Hashable, Any]) -> list[OnOneImage]:
    """Return this rank's share of the annotations without a stored prediction; ranks take images in turn."""
    new = [annotation for annotation in annotations if _id(annotation) not in stored]
    images = {image: number for number, image in enumerate(dict.fromkeys(annotation.image for annotation in new))}
    return [annotation for annotation in new if images[annotation.image] % world_size() == rank()]


def _id(annotation: OnOneImage) -> int | str:
    return annotation.sent_id if isinstance(annotation, Expression) else annotation.question_id


def _identity(info: EncoderInfo) -> list[Any]:
    return [info.fingerprint, info.preprocessing, dict(info.extra)]


def _stored(folder: Path, name: str) -> dict[Hashable, Any]:
    """Return the predictions that all ranks, of this run and of earlier ones, have stored."""
    paths = sorted(folder.glob(f"{name}.*.jsonl"))
    lines = (line for path in paths for line in path.read_bytes().splitlines())
    return dict(prediction for line in lines if (prediction := _parsed(line)))


def _tidied(folder: Path, name: str) -> dict[Hashable, Any]:
    """Return the stored predictions, after removing damaged lines, with a warning, and the half line that a killed run
    left."""
    for path in folder.glob(f"{name}.*.jsonl"):
        contents = path.read_bytes()
        lines = contents.splitlines(keepends=True)
        good = [line for line in lines if line.endswith(b"\n") and _parsed(line)]
        if len(good) < len(lines) - (not contents.endswith(b"\n")):
            warnings.warn(f"stored predictions in {path} are damaged: they are made again", stacklevel=2)
        if len(good) < len(lines):
            with atomic_write(path) as file:
                file.writelines(good)
    return _stored(folder, name)


def _line(annotation_id: int | str, prediction: Any) -> str:
    """Return a line of checksum and contents."""
    text = json.dumps([annotation_id, prediction])
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _parsed(line: bytes) -> tuple[Hashable, Any] | None:
    """Return (id, prediction) of a line, None if it is damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    annotation_id, prediction = json.loads(text)
    return annotation_id, prediction


_Item = tuple[OnOneImage, Image.Image]


def _batches(split: Split, annotations: Sequence[OnOneImage], size: int) -> Iterator[list[_Item]]:
    """Yield annotations with their images, in the order of the images, each of which is decoded once."""
    by_image: dict[str, list[OnOneImage]] = {}
    for annotation in annotations:
        by_image.setdefault(annotation.image, []).append(annotation)
    batch: list[_Item] = []
    for shard in split.shards:
        for sample in shard.samples():
            if sample.key not in by_image:
                continue
            image = decode(sample.image, sample.key)
            for annotation in by_image.pop(sample.key):
                batch.append((annotation, image))
                if len(batch) == size:
                    yield batch
                    batch = []
    assert not by_image, "every annotation has its image in the split"
    if batch:
        yield batch


@exact_fp32()
def _call(encoder: Encoder, ability: str, batch: Sequence[_Item], prompt: str, max_new_tokens: int) -> list[Any]:
    if ability == "answer":
        questions = [prompt.replace("{question}", annotation.text) for annotation, _ in batch]
        return encoder.answer([image for _, image in batch], questions, max_new_tokens)
    return [encode(_mask(encoder.segment(image, annotation.text), image.size)) for annotation, image in batch]


def _mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return bool or logits (h, w) as bool at the image's size (width, height); logits are resized before the cut."""
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
