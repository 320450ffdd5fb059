"""The store and the pass over a split, with a model whose features can be computed by hand."""

import dataclasses
import json
import threading

import numpy as np
import pytest
import torch
from levels import STAGES, MeanEncoder, grey, make_split, options

from mlcd_eval.data.base import Sample
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import DataError
from mlcd_eval.features import encode
from mlcd_eval.features.decode import batches
from mlcd_eval.features.encode import encode_split, encode_texts
from mlcd_eval.features.forward import Forward, Slices


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (3, 0), (64, 0), (2, 2)])
def test_rows_follow_the_samples_for_any_batch_size_and_workers(tmp_path, batch_size, workers):
    encoded = encode_split(
        MeanEncoder(),
        make_split(),
        ["penultimate", "projected"],
        options(tmp_path, batch_size=batch_size, workers=workers),
    )
    features = encoded.features["penultimate"]
    assert features.array.tolist() == [[level, level**2] for level in range(8)]
    assert encoded.features["projected"].array.tolist() == [[-level] for level in range(8)]
    assert list(features.keys) == [f"k{level}" for level in range(8)]
    assert features.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert features.array.dtype == np.float32
    assert isinstance(features.array, np.memmap)
    assert encoded.images_encoded == 8


def test_progress_counts_every_sample_once(tmp_path):
    done = []
    encode_split(MeanEncoder(), make_split(), ["penultimate"], options(tmp_path, batch_size=3), done.append)
    assert sum(done) == 8


def test_a_second_pass_encodes_nothing_and_a_new_layer_takes_one_pass(tmp_path):
    encoder, split = MeanEncoder(), make_split()
    encoder.info = dataclasses.replace(encoder.info, layers={**encoder.info.layers, "doubled": 1})
    encode_split(encoder, split, ["penultimate"], options(tmp_path))
    assert encoder.seen == 8
    again = encode_split(encoder, split, ["penultimate"], options(tmp_path))
    assert (encoder.seen, again.images_encoded, again.seconds) == (8, 0, 0.0)
    encode_split(encoder, split, ["penultimate", "doubled"], options(tmp_path))
    assert encoder.seen == 16


def test_other_weights_preprocessing_precision_or_data_mean_new_features(tmp_path):
    encoder = MeanEncoder()
    encode_split(encoder, make_split(), ["penultimate"], options(tmp_path))
    encode_split(encoder, make_split((5, 0, 2)), ["penultimate"], options(tmp_path))
    encode_split(encoder, make_split(), ["penultimate"], options(tmp_path, precision="bf16"))
    assert encoder.seen == 8 + 7 + 8
    encoder.info = EncoderInfo(**{**vars(encoder.info), "fingerprint": "0" * 64})
    encode_split(encoder, make_split(), ["penultimate"], options(tmp_path))
    encoder.info = EncoderInfo(**{**vars(encoder.info), "preprocessing": "other"})
    encode_split(encoder, make_split(), ["penultimate"], options(tmp_path))
    assert encoder.seen == 8 + 7 + 8 + 8 + 8


def test_an_interrupted_pass_resumes_after_the_last_complete_shard(tmp_path):
    class Stops(MeanEncoder):
        def encode_images(self, pixels, layers):
            if self.seen >= 5:
                raise KeyboardInterrupt
            return super().encode_images(pixels, layers)

    with pytest.raises(KeyboardInterrupt):
        encode_split(Stops(), make_split(), ["penultimate"], options(tmp_path))
    encoder, split = MeanEncoder(), make_split()
    encoded = encode_split(encoder, split, ["penultimate"], options(tmp_path))
    assert encoder.seen == 3
    assert split.shards[0].reads == 0
    assert encoded.features["penultimate"].array[:, 0].tolist() == list(range(8))
    assert not list(tmp_path.rglob("parts"))
    assert not list(tmp_path.rglob("*.tmp"))


def test_out_of_memory_halves_the_batch_and_continues(tmp_path):
    encoder = MeanEncoder(largest_batch=2)
    encoded = encode_split(encoder, make_split((8,)), ["penultimate"], options(tmp_path, batch_size=8))
    assert encoded.features["penultimate"].array[:, 0].tolist() == list(range(8))
    forward = Forward(encoder, "fp32", 8)
    forward.images(torch.zeros(8, 3, 4, 4), ["projected"])
    assert forward.slices.batch_size == 2
    with pytest.raises(torch.OutOfMemoryError):
        Forward(MeanEncoder(largest_batch=0), "fp32", 4).images(torch.zeros(4, 3, 4, 4), ["projected"])


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_every_message_for_out_of_memory_is_recognised(message):
    calls = []

    def call(items):
        calls.append(len(items))
        if len(items) > 3:
            raise RuntimeError(message)
        return list(items)

    slices = Slices(8)
    assert [item for part in slices(range(20), call) for item in part] == list(range(20))
    assert calls == [7, 3, 3, 3, 3, 3, 3, 2] and slices.batch_size == 3


def test_batches_are_halved_down_to_one_and_no_further():
    calls = []

    def call(items):
        calls.append(len(items))
        if len(items) > 1 or items[0] == 2:
            raise RuntimeError("out of memory")
        return items

    with pytest.raises(RuntimeError, match="out of memory"):
        list(Slices(4)([0, 1, 2, 3], call))
    assert calls == [4, 2, 1, 1, 1]


@pytest.mark.parametrize("count", [1, 7, 32, 33, 47, 64, 65, 100])
def test_batches_are_even_so_that_none_holds_a_single_image(count):
    """BLAS sums a single row in another order than many."""
    samples = [((0, 0), Sample(str(number), grey(0))) for number in range(count)]
    sizes = [len(batch.samples) for batch in batches(samples, STAGES, 32, workers=0)]
    assert sum(sizes) == count and max(sizes) <= 32 and min(sizes) >= min(count, 16)


def test_other_runtime_errors_are_not_mistaken_for_out_of_memory():
    class Broken(MeanEncoder):
        def encode_images(self, pixels, layers):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Forward(Broken(), "fp32", 4).images(torch.zeros(4, 3, 4, 4), ["projected"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_is_named_and_fails_unless_allowed(tmp_path, workers):
    split = make_split(broken=[1, 6])
    with pytest.raises(DataError, match=r"got 1 images .*expected at most 0 \(--allow-bad-images\): image 'k1'"):
        encode_split(MeanEncoder(), split, ["penultimate"], options(tmp_path, batch_size=2, workers=workers))
    allowed = options(tmp_path, batch_size=2, workers=workers, allow_bad_images=2)
    features = encode_split(MeanEncoder(), split, ["penultimate"], allowed).features["penultimate"]
    assert features.array[:, 0].tolist() == [0, 2, 3, 4, 5, 7]
    assert list(features.bad) == ["k1", "k6"]
    assert features.labels.tolist() == [0, 0, 1, 0, 1, 1]
    with pytest.raises(DataError, match="got 2"):  # the store keeps the bad keys, so that a stricter run fails too
        encode_split(MeanEncoder(), split, ["penultimate"], options(tmp_path))


@pytest.mark.parametrize(
    ("remote", "limit", "expected"),
    [(False, 4, [0, 2, 4, 6]), (False, 100, list(range(8))), (True, 4, [0, 1, 5]), (True, 5, [0, 1, 5])],
)
def test_limit_is_spread_over_the_split_and_is_part_of_the_key(tmp_path, remote, limit, expected):
    split = make_split(remote=remote)
    encoder = MeanEncoder()
    features = encode_split(encoder, split, ["penultimate"], options(tmp_path, limit=limit)).features["penultimate"]
    assert features.array[:, 0].tolist() == expected
    encode_split(encoder, split, ["penultimate"], options(tmp_path))
    assert encoder.seen == len(expected) + 8


@pytest.mark.parametrize(
    ("remote", "chunks"), [(False, [(0, 0), (0, 0), (0, 1), (0, 1), (0, 2), (1, 0)]), (True, None)]
)
def test_chunks_are_of_so_many_images_and_one_where_a_shards_size_is_unknown(monkeypatch, remote, chunks):
    monkeypatch.setattr(encode, "CHUNK", 2)
    wanted = {(0, 0), (0, 1), (0, 2), (1, 0)}
    selected = encode._selected(make_split((5, 1), remote=remote), wanted, None)
    assert [chunk for chunk, _ in selected] == (chunks or [(0, 0)] * 5 + [(1, 0)])


def test_each_text_is_encoded_once_and_stored(tmp_path):
    encoder = MeanEncoder()
    array = encode_texts(encoder, ["aa", "b", "aa"], options(tmp_path))
    assert array.tolist() == [[2.0], [1.0], [2.0]]
    assert encoder.seen == 2
    encode_texts(encoder, ["aa", "b"], options(tmp_path))
    assert encoder.seen == 2


def test_the_key_is_written_beside_the_features(tmp_path):
    encode_split(MeanEncoder(only="projected"), make_split(), ["projected"], options(tmp_path))
    (meta,) = tmp_path.rglob("meta.json")
    assert json.loads(meta.read_text())["layer"] == "projected"


def test_batches_do_not_cross_shards_and_keep_order():
    samples = [((shard, 0), sample) for shard, part in enumerate(make_split((3, 2)).shards) for sample in part.items]
    keys = [(batch.chunk[0], batch.samples.keys) for batch in batches(samples, STAGES, 2, workers=2)]
    assert keys == [(0, ["k0", "k1"]), (0, ["k2"]), (1, ["k3", "k4"])]


def test_concurrent_batches_give_the_same_features_as_consecutive_ones(tmp_path):
    class Reentrant(MeanEncoder):
        reentrant = True

        def encode_images(self, pixels, layers):
            self.threads = getattr(self, "threads", set()) | {(threading.get_ident(), torch.get_num_threads())}
            return super().encode_images(pixels, layers)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        encoder, split = Reentrant(), make_split((40, 0, 3), broken=[7])
        encoded = encode_split(encoder, split, ["penultimate"], options(tmp_path, batch_size=2, allow_bad_images=1))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert encoded.features["penultimate"].array[:, 0].tolist() == [level for level in range(43) if level != 7]
    assert all(thread != threading.get_ident() and cores == 1 for thread, cores in encoder.threads)
