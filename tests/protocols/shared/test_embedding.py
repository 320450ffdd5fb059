"""Compressed embeddings against the arithmetic of faiss's scalar quantiser and of packed bits, written out here."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import make_result, metric
from protocol_inputs import features, mixture, rng, text_encoder, values

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.protocols.shared.embedding import bytes_of, compressed, cut
from mlcd_eval.tables.boards.choose import choose
from mlcd_eval.tables.variants import variants


def unit(array):
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def quantised(rows, learned):
    """faiss, ScalarQuantizer.cpp: train with RS_minmax, encode_vector and decode_vector of QT_8bit."""
    decoded = np.empty(rows.shape)
    for column in range(rows.shape[1]):
        low = learned[:, column].min()
        difference = learned[:, column].max() - low
        for row in range(len(rows)):
            share = 0.0 if difference == 0 else (rows[row, column] - low) / difference
            code = int(255 * min(max(share, 0.0), 1.0))
            decoded[row, column] = (code + 0.5) / 255 * difference + low
    return decoded


def splits(seed=0, sizes=(90, 60), d=20):
    train, test = mixture(seed, sizes, d, c=4)
    train.array[:, 3] = 0.25  # a dimension without a range
    return {"train": train, "test": test}


def scored(protocol, images, encode_texts=None, **settings):
    known = get_protocol(protocol)
    return known.score(known.Settings.model_validate(settings), Inputs(images=images, encode_texts=encode_texts))


def test_bytes_stand_for_the_middle_of_their_steps():
    learned, rows = rng(0).normal(size=(50, 6)), 2 * rng(1).normal(size=(40, 6))  # many beyond the range
    learned[:, 2] = -1.5
    prepare = compressed("int8", learned, "cpu", lambda x: x)
    ours = prepare(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(ours, quantised(rows, learned), rtol=0, atol=1e-12)
    assert len(np.unique(ours[:, 0])) <= 256 and (ours[:, 2] == -1.5).all()


def test_bits_say_what_is_positive():
    rows = torch.tensor([[0.5, -0.5, 0.0, 1e-30]])
    assert compressed("binary", None, "cpu", lambda x: x)(rows).tolist() == [[1, -1, -1, 1]]


def nearest_classes(similarity, labels, k, temperature=0.07):
    """The class with the most votes of the k nearest, the first of equally near ones, for each row."""
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    votes = np.zeros((len(similarity), labels.max() + 1))
    for row, near in enumerate(order):
        for place in near:
            votes[row, labels[place]] += np.exp(similarity[row, place] / temperature)
    return votes.argmax(axis=1).tolist()


def test_neighbours_by_bytes():
    images = splits()
    parts = {role: unit(each.array.astype(np.float64)) for role, each in images.items()}
    train, test = (unit(quantised(parts[role], parts["train"])) for role in ("train", "test"))
    scores = scored("knn", images, embedding="int8", ks=[5])
    assert scores.samples["prediction"] == nearest_classes(test @ train.T, images["train"].labels, 5)
    assert scores.bytes_per_embedding == 20


def test_neighbours_by_hamming_distance_keep_ties():
    """Of 7 bits many distances are equal, and the first of equally near images votes."""
    images = splits(d=7, sizes=(150, 90))
    bits = {role: np.packbits(each.array > 0, axis=1) for role, each in images.items()}
    xor = bits["test"][:, None] ^ bits["train"][None]
    hamming = np.unpackbits(xor, axis=2).sum(axis=2).astype(np.int64)
    scores = scored("knn", images, embedding="binary", ks=[5])
    assert scores.samples["prediction"] == nearest_classes(1 - 2 * hamming / 7, images["train"].labels, 5)
    assert scores.bytes_per_embedding == 1


@pytest.mark.parametrize("protocol", ["knn", "linear_probe"])
def test_the_first_dimensions_alone(protocol):
    images = splits()
    first = {role: dataclasses.replace(each, array=each.array[:, :8].copy()) for role, each in images.items()}
    short = scored(protocol, images, embedding="dim=8")
    assert short.metrics == scored(protocol, first).metrics and short.bytes_per_embedding == 32
    assert scored(protocol, images, embedding="dim=20").metrics == scored(protocol, images).metrics


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("embedding", ["int8", "binary"])
def test_a_probe_learns_from_compressed_features(embedding, normalise):
    images = splits()
    parts = {role: unit(each.array) if normalise else each.array for role, each in images.items()}
    if embedding == "int8":
        arrays = {role: quantised(part, parts["train"]) for role, part in parts.items()}
    else:
        arrays = {role: np.where(part > 0, 1.0, -1.0) for role, part in parts.items()}
    by_hand = {role: features(arrays[role], each.labels) for role, each in images.items()}
    scores = scored("linear_probe", images, embedding=embedding, normalise=normalise, lambda_=0.1)
    assert values(scores) == pytest.approx(values(scored("linear_probe", by_hand, lambda_=0.1)), abs=1e-12)


def test_captions_are_found_by_hamming_distance():
    images, texts = rng(0).normal(size=(30, 9)), rng(1).normal(size=(30, 9))
    texts[:15] = images[:15]
    names = [f"caption {number}" for number in range(30)]
    split = features(images, texts=[(name,) for name in names])
    scores = scored(
        "retrieval", {"test": split}, text_encoder(dict(zip(names, texts, strict=True))), embedding="binary"
    )
    distance = ((images[:, None] > 0) != (texts[None] > 0)).sum(axis=2)  # image x text
    ranks = [
        1 + sum((distance[image, text], image) < (distance[text, text], text) for image in range(30))
        for text in range(30)
    ]
    assert scores.samples["rank"][:30] == ranks


def test_the_record_says_what_it_costs():
    images = splits()
    full, short = scored("knn", images), scored("knn", images, embedding="dim=2")
    assert short.details["full_precision"] == values(full) and "full_precision" not in full.details
    loss = short.details["against_full_precision"]
    assert loss["metric"] == "knn_acc1@20"
    assert loss["difference"] == values(short)["knn_acc1@20"] - values(full)["knn_acc1@20"] < 0
    assert loss["ci95"][0] <= loss["difference"] <= loss["ci95"][1]
    assert full.bytes_per_embedding == 80


def test_half_precision_has_half_the_bytes():
    array = np.zeros((2, 20), np.float16)
    assert [bytes_of(kind, array) for kind in (None, "int8", "binary", "dim=8")] == [40, 20, 3, 16]


@pytest.mark.parametrize("protocol", ["knn", "linear_probe", "retrieval"])
def test_mistakes_are_one_sentence(protocol):
    known = get_protocol(protocol)
    for wrong in ("int4", "dim=0", "dim=", "dim=-3", "int8,binary"):
        with pytest.raises(ValueError, match="expected int8, binary or dim=N"):
            known.Settings(embedding=wrong)
    layers = {"penultimate": 16, "projected": 16}
    info = EncoderInfo("mine", "mine", "f", "", layers, (8, 8), 0, True)
    with pytest.raises(
        IncompatibleError, match=r"embedding=dim=17 .* got model 'mine', whose layer .* has 16, expected"
    ):
        known.for_model(known.Settings(embedding="dim=17"), info)
    assert known.for_model(known.Settings(embedding="dim=16"), info).embedding == "dim=16"
    with pytest.raises(IncompatibleError, match="got features of 4 dimensions, expected 5"):
        cut("dim=5", np.zeros((1, 4)))


def test_compressed_numbers_have_columns_of_their_own_and_a_note():
    loss = {"metric": "acc1", "difference": -0.01, "ci95": [-0.02, 0.0]}
    plain = make_result(task="linear_probe/demo", metrics=[metric("acc1", 0.5)])
    task = plain.task.model_copy(update={"settings": {**plain.task.settings, "embedding": "int8"}})
    short = plain.completed(task=task, details={"against_full_precision": loss}, metrics=[metric("acc1", 0.49)])
    assert variants([plain, short]).label(short) == "embedding=int8"
    [board], _ = choose([plain, short])
    assert len(board.columns) == 2
    assert board.notes[-1] == (
        "Compressed embeddings, against full precision in points: tiny linear_probe/demo embedding=int8: "
        "-1.00 [-2.0, 0.0]."
    )
