"""The features of one split by one model, from the store that runs use, as a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlcd_eval.data.open import open_dataset
from mlcd_eval.encoders.base import PENULTIMATE, Encoder
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError, nearest
from mlcd_eval.features.lazy import open_encoder
from mlcd_eval.request import RunRequest, default_cache
from mlcd_eval.running.feature_file import FeatureFile, check_output, write_features
from mlcd_eval.support.device import pick_device
from mlcd_eval.support.fileio import check_writable
from mlcd_eval.support.progress import Progress

if TYPE_CHECKING:
    from mlcd_eval.features.encode import EncodeOptions


class EncodeRequest(BaseModel):
    """The flags of `mlcd-eval encode`; those of the same name mean what they mean for a run.

    split: None for the only one. letterbox: show the encoder the whole image instead of a crop. texts: encode captions
    too, by the layer `projected`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    dataset: str
    output: Path
    split: str | None = None
    layer: str = PENULTIMATE
    letterbox: bool = False
    texts: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    batch_size: int | None = Field(default=None, ge=1)
    workers: int | None = Field(default=None, ge=0)
    cache: Path = Field(default_factory=default_cache)
    limit: int | None = Field(default=None, ge=1)
    offline: bool = False
    trust_remote_code: bool = False
    allow_bad_images: int = Field(default=0, ge=0)


def encode_options(request: RunRequest | EncodeRequest, encoder: Encoder) -> EncodeOptions:
    """How a request's images and texts are encoded."""
    from mlcd_eval.features.encode import EncodeOptions  # imports torch
    from mlcd_eval.features.workers import default_workers

    return EncodeOptions(
        cache=request.cache,
        precision=request.precision,
        batch_size=request.batch_size,
        workers=default_workers(encoder.device) if request.workers is None else request.workers,
        limit=request.limit,
        allow_bad_images=request.allow_bad_images,
    )


def encode(request: EncodeRequest, progress: Progress | None = None) -> FeatureFile:
    """Write the file and return what is in it. Raises UserError for a request, data or a model that is wrong, before
    any image is encoded."""
    progress = progress or Progress()
    check_output(request.output)
    check_writable(request.output.parent)
    dataset = open_dataset(request.dataset, cache=request.cache, offline=request.offline)
    name = request.split or dataset.splits[0]
    if request.split is None and len(dataset.splits) > 1:
        raise ConfigError(f"--split is missing: {request.dataset} has {', '.join(dataset.splits)}")
    split = dataset.split(name)
    split.scan()
    options = {"trust_remote_code": request.trust_remote_code, "offline": request.offline}
    pick = partial(pick_device, request.device)
    encoder = open_encoder(request.model, pick, request.precision, request.cache, progress.say, **options)
    info = encoder.info
    if info.width_of(request.layer) is None:
        raise ConfigError(
            f"--layer got {request.layer!r}, expected a layer of {info.name}: {info.layers_in_words()}"
            f"{nearest(request.layer, info.layers)}"
        )
    if request.texts and not info.has_text:
        raise IncompatibleError(f"--texts needs a text tower: got model {info.spec!r}, which {info.no_text}")

    from mlcd_eval.features.encode import encode_split, encode_texts  # imports torch
    from mlcd_eval.features.letterbox import LetterboxedEncoder

    how = encode_options(request, encoder)
    shown = LetterboxedEncoder(encoder) if request.letterbox else encoder
    with progress.stage(f"{info.name}: {split.dataset}/{name}", split.scan().num_samples, "images") as advance:
        images = encode_split(shown, split, [request.layer], how, advance).features[request.layer]
    captions = None
    if request.texts:
        texts = [text for of_image in images.texts for text in of_image]
        if not texts:
            raise DataError(f"--texts: split {name!r} of {request.dataset} has no captions")
        with progress.stage(f"{info.name}: captions", len(set(texts)), "texts") as advance:
            captions = encode_texts(encoder, texts, how, advance)
    about = {
        "model": info.spec,
        "fingerprint": info.fingerprint,
        "preprocessing": shown.info.preprocessing,
        "layer": request.layer,
        "precision": request.precision,
        "dataset": request.dataset,
        "split": name,
        "data_fingerprint": split.scan().fingerprint,
        "limit": request.limit,
        "class_names": dataset.class_names,
        "bad_images": list(images.bad),
    }
    contents = FeatureFile(images, captions, about)
    write_features(request.output, contents)
    return contents
