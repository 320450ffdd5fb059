"""Zero-shot with class names in a language: Babel-ImageNet as clip-benchmark has it."""

import json
from pathlib import Path

import clip_benchmark.datasets
import numpy as np
import pytest
from protocol_inputs import features, text_encoder, values

from mlcd_eval.data.prompts import Prompts
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
    with pytest.raises(
        IncompatibleError, match=r"babel-imagenet has no prompts in 'br': expected one of af, am"
    ):  # names, no templates
        translated_prompts("imagenet1k", "br")


def test_translations_by_hand_are_those_of_clip_benchmark():
    for code, theirs in (("it", "it"), ("ja", "jp"), ("zh", "cn"), ("ar", "ar")):
        prompts = translated_prompts("imagenet1k", code, "clip-benchmark")
        for kind, found in (
            ("classnames", prompts.class_names),
            ("zeroshot_classification_templates", prompts.templates),
        ):
            assert list(found) == json.loads((FOLDER / f"{theirs}_{kind}.json").read_text())["imagenet1k"]
        assert prompts.classes == tuple(range(1000)) and all("{c}" in template for template in prompts.templates)
    assert set(translated_prompts("imagenet1k", "macro", "clip-benchmark").by_language) == {"ar", "it", "ja", "zh"}
    with pytest.raises(
        IncompatibleError, match=r"clip-benchmark has no prompts in 'de': expected one of ar, it, ja, zh"
    ):
        translated_prompts("imagenet1k", "de", "clip-benchmark")
    needs = ZeroShot().needs(ZeroShotSettings(language="it", translations="clip-benchmark"))
    assert (needs.language, needs.translations) == ("it", "clip-benchmark")


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
    assert protocol.primary({"language": "macro"}, "classification") == "macro_acc1"
    for others in ({"metric": "acc5"}, {"class_names": ("Hund",)}, {"calibration": "raw"}, {"corruptions": "all"}):
        with pytest.raises(ValueError, match=f"only metric acc1 beside language macro: got {next(iter(others))}"):
            ZeroShotSettings(language="macro", **others)


def test_prompts_of_all_languages():
    prompts = translated_prompts("imagenet1k", "macro")
    assert len(prompts.by_language) == 90 and prompts.classes is not None
    assert prompts.by_language["de"] == translated_prompts("imagenet1k", "de")
    assert set(prompts.class_names) >= set(prompts.by_language["sw"].class_names)


def test_the_mean_counts_each_language_once_and_draws_an_image_with_all_its_languages():
    rng, labels = np.random.default_rng(5), np.repeat(np.arange(9), 6)
    images = features(rng.normal(size=(54, 8)), labels, bad=("torn",))
    classes = {"de": (0, 1, 2, 3, 5, 7), "sw": (1, 3, 8), "mi": (11, 12)}
    names = {language: tuple(f"{language} {n}" for n in of) for language, of in classes.items()}
    vectors = {name: rng.normal(size=8) for of_language in names.values() for name in of_language}
    parts = {code: Prompts(names[code], ("{c}",), code, classes[code]) for code in classes}
    inputs = Inputs({"test": images}, text_encoder(vectors), (), (), "all", (), parts)
    alone = {
        code: ZeroShot().score(
            ZeroShotSettings(language=code),
            Inputs({"test": images}, text_encoder(vectors), names[code], ("{c}",), classes=classes[code]),
        )
        for code in ("de", "sw")
    }
    scores = ZeroShot().score(ZeroShotSettings(language="macro"), inputs)
    assert scores.primary == "macro_acc1" and scores.details["languages_without_images"] == ["mi"]
    accuracy = {code: values(each)["acc1"] for code, each in alone.items()}
    assert accuracy["de"] != accuracy["sw"]
    assert values(scores)["macro_acc1"] == pytest.approx((accuracy["de"] + accuracy["sw"]) / 2)
    assert {code: each["acc1"] for code, each in scores.details["by_language"].items()} == accuracy
    assert [each["num_images"] for each in scores.details["by_language"].values()] == [36, 18]
    assert scores.details["chance"] == pytest.approx({"macro_acc1": (1 / 6 + 1 / 3) / 2, "macro_acc5": (5 / 6 + 1) / 2})
    metric = scores.metrics[0]
    assert (metric.num_scored, metric.num_unscored) == (42, 13)  # classes 4 and 6 have no name, one image is torn
    right = {code: dict(zip(each.samples["key"], each.samples["rank"], strict=True)) for code, each in alone.items()}
    table = np.array([[right[code].get(key, np.nan) for code in alone] for key in scores.samples["key"]])
    hits = np.where(np.isnan(table), np.nan, table == 1)
    drawn = [np.nanmean(hits[rng.integers(42, size=42)], axis=0).mean() for _ in range(2000)]
    assert metric.ci95 == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))), abs=0.02)
