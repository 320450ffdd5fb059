"""Zero-shot with class names in a language: Babel-ImageNet as clip-benchmark has it."""

import json
from pathlib import Path

import clip_benchmark.datasets
import numpy as np
import pytest
from protocol_inputs import features, text_encoder, values

from mlcd_eval.data.translated_prompts import translated_prompts
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.zeroshot import ZeroShot, ZeroShotSettings

FOLDER = Path(clip_benchmark.datasets.__file__).parent


def test_prompts_are_those_of_clip_benchmark():
    names = json.loads((FOLDER / "babel_imagenet.json").read_text())["DE"]
    prompts = translated_prompts("clip-benchmark/wds_imagenet1k", "de")
    assert [list(prompts.classes), list(prompts.class_names)] == names and len(prompts.classes) == 738
    assert len(prompts.templates) == 80 and all("{c}" in template for template in prompts.templates)
    assert prompts.source == "class names: babel-imagenet:de (738 of 1000 classes); templates: nllb:de"
    assert list(prompts.classes) == sorted(set(prompts.classes))
    with pytest.raises(IncompatibleError, match=r"'de' are known of ImageNet alone: got cifar10"):
        translated_prompts("cifar10", "de")
    with pytest.raises(IncompatibleError, match=r"no prompts in 'br': expected one of af, am"):  # names, no templates
        translated_prompts("imagenet1k", "br")


def test_only_images_of_classes_with_a_name_are_scored():
    """As BabelImageNet of clip_benchmark/datasets/babel_imagenet.py: rows of the classes, labelled by their places."""
    rng, classes = np.random.default_rng(4), (1, 4, 6)
    labels = np.repeat(np.arange(8), 5)
    array = rng.normal(size=(40, 8))
    vectors = {name: rng.normal(size=8) for name in ("eins", "vier", "sechs")}
    given = Inputs({"test": features(array, labels)}, text_encoder(vectors), tuple(vectors), ("{c}",), classes=classes)
    scores = ZeroShot().score(ZeroShotSettings(language="de"), given)
    rows = np.isin(labels, classes)
    unit = array[rows] / np.linalg.norm(array[rows], axis=1, keepdims=True)
    names = np.stack([vector / np.linalg.norm(vector) for vector in vectors.values()])
    expected = (unit @ names.T).argmax(axis=1) == [classes.index(label) for label in labels[rows]]
    assert values(scores)["acc1"] == pytest.approx(expected.mean())
    assert (scores.details["num_images"], scores.details["num_classes"]) == (15, 3)
    assert scores.metrics[0].num_scored == 15


def test_what_a_language_needs():
    protocol = ZeroShot()
    assert protocol.needs(ZeroShotSettings(language="de")).language == "de"
    assert protocol.needs(ZeroShotSettings(language="de", class_names=("Hund",))).language is None  # it is stated only
    with pytest.raises(ValueError, match="macro is of retrieval"):
        ZeroShotSettings(language="macro")
