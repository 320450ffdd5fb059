"""clip-benchmark's own code on webdataset folders, in float32 on the CPU; images are encoded once per folder."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import torch
from clip_benchmark.datasets.builder import build_wds_dataset, image_captions_collate_fn
from clip_benchmark.metrics import image_caption_selection, zeroshot_classification, zeroshot_retrieval
from PIL import Image

BATCH = 64


class _Kept:
    """A model that encodes a batch of images once."""

    def __init__(self, model: Any) -> None:
        self._features: dict[int, torch.Tensor] = {}
        self.plain = model
        self.encode_text = model.encode_text

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch, which is kept by its address: batches are never freed here."""
        if images.data_ptr() not in self._features:
            self._features[images.data_ptr()] = self.plain.encode_image(images)
        return self._features[images.data_ptr()]


class _Batches(list[Any]):
    """The batches of a data set, in the form of a data loader."""

    dataset: SimpleNamespace


@cache
def _model(folder: Path) -> tuple[_Kept, Any, Any]:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", device="cpu")
    return _Kept(model.eval()), preprocess, open_clip.get_tokenizer(f"local-dir:{folder}")


@cache
def _batches(model: Path, folder: Path, retrieval: bool) -> _Batches:
    data = build_wds_dataset("wds", transform=_model(model)[1], split="test", data_dir=str(folder))
    collate = {"collation_fn": image_captions_collate_fn} if retrieval else {}
    batches = _Batches(data.batched(BATCH, **collate))
    if not retrieval:
        batches = _Batches((torch.as_tensor(images), torch.as_tensor(labels)) for images, labels in batches)
    batches.dataset = SimpleNamespace(classes=data.classes, templates=data.templates)
    return batches


def zeroshot(model: Path, folder: Path, templates: list[str] | None = None) -> dict[str, float]:
    """Return clip-benchmark's metrics with the folder's class names, and with its templates or others."""
    network, _, tokenizer = _model(model)
    loader = _batches(model, folder, retrieval=False)
    classes, own = loader.dataset.classes, loader.dataset.templates
    scores: dict[str, float] = zeroshot_classification.evaluate(
        network, loader, tokenizer, classes, templates or own, "cpu", amp=False
    )
    return scores


def retrieval(model: Path, folder: Path, ks: tuple[int, ...]) -> dict[str, float]:
    """Return clip-benchmark's recalls."""
    network, _, tokenizer = _model(model)
    loader = _batches(model, folder, retrieval=True)
    scores: dict[str, float] = zeroshot_retrieval.evaluate(
        network, loader, tokenizer, "cpu", amp=False, recall_k_list=list(ks)
    )
    return scores


def pairs(model: Path, file: Path) -> dict[str, float]:
    """Return clip-benchmark's scores of items of images and texts."""
    network, preprocess, tokenizer = _model(model)
    items = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    batches = [
        (
            torch.stack([preprocess(Image.open(file.parent / name).convert("RGB")) for name in item["images"]])[None],
            [item["texts"]],
        )
        for item in items
    ]
    scores: dict[str, float] = image_caption_selection.evaluate(network.plain, batches, tokenizer, "cpu", amp=False)
    return scores
