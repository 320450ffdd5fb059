"""Retrieval by language: each as clip-benchmark has it, and the mean of all."""

import numpy as np
import pytest
import torch
from clip_benchmark.datasets.builder import image_captions_collate_fn
from clip_benchmark.datasets.crossmodal3600 import Crossmodal3600, create_annotation_file
from clip_benchmark.metrics.zeroshot_retrieval import evaluate
from letters_model import LettersModel, letters, pixels
from protocol_inputs import features, text_encoder, values

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Captions
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.interval import RESAMPLES, generator
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.retrieval.protocol import Retrieval
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings
from mlcd_eval.support.bundled import demo_data_dir

VECTORS = {"east": [2.0, 0.0], "north": [0.0, 3.0], "north-east": [0.6, 0.8], "south": [0.0, -1.0]}
IMAGES = [[10.0, 0.0], [0.4, 0.3], [0.0, 1.0]]
ITEMS = [
    Captions("im0", {"de": ("north-east",), "fr": ("east",), "mi": ()}),
    Captions("im1", {"de": ("east", "south"), "fr": (" ",), "mi": ("",)}),
    Captions("im2", {"de": ("north",), "fr": ("north",), "mi": ()}),
]


def score(items=ITEMS, **settings):
    given = Inputs({"test": features(IMAGES)}, text_encoder(VECTORS), annotations={"test": items})
    return Retrieval().score(RetrievalSettings(ks=(1, 2), **settings), given)


def test_one_language_by_hand():
    scores = score(language="de")
    assert scores.samples["rank"] == [3, 2, 2, 1, 2, 2, 1]  # as without languages
    assert scores.details["language"] == "de"
    french = score(language="fr")
    assert french.samples["key"] == ["im0#0", "im2#0", "im0", "im2"] and set(french.samples["rank"]) == {1}
    assert french.metrics[2].name == "image_to_text_recall@1"
    assert (french.metrics[2].num_scored, french.metrics[2].num_unscored) == (2, 1)  # im1 stays in the gallery


def test_the_mean_counts_each_language_once():
    scores, languages = score(language="macro"), {code: score(language=code) for code in ("de", "fr")}
    assert scores.primary == "macro_image_to_text_recall@1"
    of_each = [values(each) for each in languages.values()]
    assert values(scores) == pytest.approx(
        {f"macro_{name}": (of_each[0][name] + of_each[1][name]) / 2 for name in of_each[0]}
    )
    assert values(scores)["macro_text_to_image_recall@1"] == pytest.approx((1 / 4 + 1) / 2)  # of all captions: 3 / 6
    by_language = scores.details["by_language"]
    assert scores.details["languages_without_captions"] == ["mi"]
    assert scores.details["num_languages"] == 2 and set(by_language) == {"de", "fr"}  # mi has no caption at all
    assert by_language["de"]["text_to_image_recall@2"] == 3 / 4
    assert [by_language[code]["images_without_captions"] for code in by_language] == [0, 1]
    assert [metric.num_unscored for metric in scores.metrics] == [0, 0, 1, 1, 1]
    assert scores.samples["key"][:2] == ["de:im0#0", "de:im1#0"] and scores.samples["language"][-1] == "fr"


def test_the_interval_of_the_mean_draws_an_image_with_all_its_languages():
    scores = score(language="macro")
    metric = scores.metrics[0]
    hits, counts = np.zeros((3, 2)), np.zeros((3, 2))
    columns = (scores.samples[name] for name in ("image", "language", "direction", "rank"))
    for image, language, direction, rank in zip(*columns, strict=True):
        if direction == "text_to_image":
            cell = image, ("de", "fr").index(language)
            hits[cell] += rank == 1
            counts[cell] += 1
    units, frequency = np.unique(np.hstack([hits, counts]), axis=0, return_counts=True)
    drawn = generator(0, metric.name).multinomial(3, frequency / 3, size=RESAMPLES) @ units
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nanmean(drawn[:, :2] / drawn[:, 2:], axis=1)
    assert metric.ci95 == pytest.approx(tuple(np.percentile(means[~np.isnan(means)], (2.5, 97.5))))


def test_languages_that_cannot_be_scored():
    protocol = Retrieval()
    for language, message in (
        ("mi", "split 'test' has no caption in 'mi': expected one of de, fr"),
        ("ger", "no caption in 'ger'"),
        (None, "has captions in 2 languages: got no language, expected --set language=CODE"),
    ):
        with pytest.raises(IncompatibleError, match=message):
            protocol.check_annotations(RetrievalSettings(language=language), "test", ITEMS)
    for language in ("de", "macro"):
        protocol.check_annotations(RetrievalSettings(language=language), "test", ITEMS)
    blank = [Captions("im0", {"mi": (" ",)})]
    with pytest.raises(IncompatibleError, match="has no captions: got only blank ones"):
        protocol.check_annotations(RetrievalSettings(language="macro"), "test", blank)
    for wrong in ({"language": "German"}, {"language": "macro", "metric": "ndcg"}):
        with pytest.raises(ValueError, match=r"language|macro"):
            RetrievalSettings(**wrong)


@pytest.mark.parametrize("language", ["de", "zh"])
def test_clip_benchmark_agrees(tmp_path, language):
    """Its reader of Crossmodal-3600, its recall and ours, on the bundled emoji."""
    (tmp_path / "xm3600").symlink_to(demo_data_dir() / "emoji_names")
    create_annotation_file(str(tmp_path), language)
    theirs = Crossmodal3600(str(tmp_path), str(tmp_path / f"crossmodal3600_captions-{language}.json"), transform=pixels)
    model = LettersModel(0.7)
    loader = torch.utils.data.DataLoader(theirs, batch_size=100, collate_fn=image_captions_collate_fn)
    expected = evaluate(model, loader, letters, "cpu", amp=False, recall_k_list=[1, 5, 10])

    dataset = open_dataset(f"xm3600:{tmp_path / 'xm3600'}")
    samples = [sample for shard in dataset.split("test").shards for sample in shard.samples()]
    array = model.encode_image(torch.stack([pixels(decode(sample.image, sample.key)) for sample in samples])).numpy()
    images = features(array)
    images = type(images)(images.array, [sample.key for sample in samples])
    given = Inputs(
        {"test": images},
        lambda texts: model.encode_text(letters(texts)).numpy(),
        annotations={"test": dataset.annotations("test")},
    )
    ours = values(Retrieval().score(RetrievalSettings(language=language, captions_per_image=1), given))
    for k in (1, 5, 10):
        assert ours[f"text_to_image_recall@{k}"] == pytest.approx(expected[f"image_retrieval_recall@{k}"], abs=1e-6)
        assert ours[f"image_to_text_recall@{k}"] == pytest.approx(expected[f"text_retrieval_recall@{k}"], abs=1e-6)
    assert 0 < ours["text_to_image_recall@10"] < 1
