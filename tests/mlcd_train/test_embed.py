"""Off-the-shelf features: image, text and their mean against the definition."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pairs import picture, write_shard
from tiny_encoder import TinyEncoder, vision_only

from mlcd_eval.data import open_dataset
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.support.progress import Progress
from mlcd_train.embed import _unit, check_encoder, embed, read_embedding
from mlcd_train.sections import EmbedConfig


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def embedded(root, tmp_path, source, encoder=None):
    split = open_dataset(f"wds:{root}").split("train")
    config = EmbedConfig(model="python:tiny_encoder:make", source=source)
    options = EncodeOptions(tmp_path / "cache")
    embed(tmp_path / "embed", encoder or TinyEncoder(), split, config, options, Progress())
    images = encode_split(TinyEncoder(), split, ["projected"], options).features["projected"]
    return read_embedding(tmp_path / "embed"), images


@pytest.mark.parametrize("source", ["image", "text", "mean"])
def test_features_are_unit_rows_of_the_asked_source(pairs, tmp_path, source):
    embedding, images = embedded(pairs, tmp_path, source)
    assert list(embedding.keys) == list(images.keys) == [f"s{number:03d}" for number in range(40)]
    texts = []
    for captions in images.texts:
        with torch.inference_mode():
            rows = unit(TinyEncoder().encode_texts(captions).numpy())
        texts.append(rows.mean(axis=0))
    expected = {"image": unit(images.array), "text": unit(np.stack(texts))}
    expected["mean"] = unit((expected["image"] + expected["text"]) / 2)
    np.testing.assert_allclose(embedding.features, expected[source], rtol=1e-4, atol=1e-6)


def test_what_the_encoder_lacks_is_reported(pairs, tmp_path):
    with pytest.raises(IncompatibleError, match=r"embed\.layer is 'projected': got model .* with penultimate"):
        embedded(pairs, tmp_path, "image", vision_only())
    config = EmbedConfig(model="python:tiny_encoder:make", source="mean")
    blind = SimpleNamespace(info=SimpleNamespace(spec="python:x", layers={"projected": 7}, has_text=False))
    with pytest.raises(
        IncompatibleError, match=r"embed.source is 'mean': got model 'python:x', which has no text tower"
    ):
        check_encoder(blind, config)
    assert check_encoder(blind, config.model_copy(update={"source": "image"})) == 7


@pytest.mark.parametrize("wrong", [0, np.nan, np.inf])
def test_features_without_a_direction_are_named(wrong):
    rows = np.ones((8, 2), np.float32)
    rows[1:8] = wrong
    with pytest.raises(DataError, match=r"features of 'b', 'c', 'd', 'e', 'f' are zero or not finite"):
        _unit(rows, "abcdefgh")
    assert _unit(np.array([[3.0, -4.0]]), "a").tolist() == [[0.6, -0.8]]


def test_keys_must_differ(tmp_path):
    for shard in (0, 1):
        members = [("same.png", picture("red", shard)), ("same.txt", b"red")]
        write_shard(tmp_path / "train" / f"{shard}.tar", members)
    (tmp_path / "train" / "nshards.txt").write_text("2")
    (tmp_path / "dataset_type.txt").write_text("retrieval")
    with pytest.raises(DataError, match="has the key 'same' twice"):
        embedded(tmp_path, tmp_path, "image")


def test_missing_and_damaged_embeddings(pairs, tmp_path):
    with pytest.raises(DataError, match="holds no features"):
        read_embedding(tmp_path)
    embedded(pairs, tmp_path, "image")
    rows = json.loads((tmp_path / "embed" / "rows.json").read_text())
    (tmp_path / "embed" / "rows.json").write_text(json.dumps(rows | {"keys": rows["keys"][1:]}))
    with pytest.raises(DataError, match="is damaged: 40 feature rows, 39 keys"):
        read_embedding(tmp_path / "embed")
    (tmp_path / "embed" / "rows.json").write_text(json.dumps(rows | {"keys": "a" * 40}))
    with pytest.raises(DataError, match=r"is damaged: features of shape \(40, \d+\), expected a row for each of its k"):
        read_embedding(tmp_path / "embed")
    np.save(tmp_path / "embed" / "features.npy", np.zeros(40))
    (tmp_path / "embed" / "rows.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"is damaged: features of shape \(40,\)"):
        read_embedding(tmp_path / "embed")
