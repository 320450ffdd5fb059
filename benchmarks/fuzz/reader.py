"""What is attacked: a function that reads one small valid file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}

import datasets
import numpy as np
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import AnnotatedDataset
from mlcd_eval.data.rendered import RENDERED
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.support.bundled import demo_data_dir

datasets.disable_progress_bars()
DEMO = demo_data_dir()
TOWER = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
SHAPE = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@dataclass
class Reader:
    """path: the file to damage; form: its structure, one of forms.FORMS, by default that of its suffix. recovers:
    whether `read` must give the same result as before the damage, since a run wrote the file for itself. names: what a
    refusal may name it by beside its own name and its folder's. slow: it gets a tenth of the inputs."""

    name: str
    path: Path
    read: Callable[[Path], Any]
    form: str = ""
    recovers: bool = False
    slow: bool = False
    names: tuple[str, ...] = ()

    def is_named_in(self, message: str) -> bool:
        """Whether a refusal says which file it is about."""
        sample = "image '"  # one of many, which is named instead
        return any(
            name in message for name in (sample, self.path.name, self.path.stem, self.path.parent.name, *self.names)
        )


def read_everything(ref: str) -> None:
    """Read a dataset with all its samples, pixels and annotations."""
    dataset = open_dataset(ref, offline=True)
    for name in dataset.splits:
        if name == RENDERED:
            continue  # its pages are drawn, not read
        split = dataset.split(name)
        split.scan()
        if isinstance(dataset, AnnotatedDataset):
            list(dataset.annotations(name))
        for shard in split.shards:
            for sample in shard.samples():
                decode(sample.image, sample.key)


def read_pixels(name: str, ref: str) -> None:
    """Read a data set's images, and what is known of all pixels of each. name: of the annotations' reader of that."""
    read_everything(ref)
    dataset = open_dataset(ref)
    for split in dataset.splits:
        for annotation in dataset.annotations(split):
            getattr(annotation, name)(), annotation.picture()


def use(spec: str) -> None:
    """Load a model and encode an image and, if it can, a text."""
    encoder = load_encoder(spec, offline=True)
    pixels = encoder.preprocess(Image.fromarray(np.zeros((20, 30, 3), np.uint8)))
    encoder.encode_images(pixels[None], list(encoder.info.layers)[:1])
    if encoder.info.has_text:
        encoder.encode_texts(["a photo"])
