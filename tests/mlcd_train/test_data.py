"""Training batches: every sample once a pass, the same for any ranks and workers, and from any position on."""

import random
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from pairs import picture, write_shard
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError
from mlcd_train.assignment import Labels
from mlcd_train.augment import augmented, crop_box
from mlcd_train.data import Share, check_captions, feature_batches, label_table, pixel_batches
from mlcd_train.sections import Augmentation, DataConfig

PREPROCESS = Preprocess(image_size=16)


def batches(pairs, count, *, share=None, seed=0, start=None, **changes):
    config = DataConfig(train=f"wds:{pairs}", **{"shuffle": 7, **changes})
    split = open_dataset(config.train).split("train")
    return list(islice(pixel_batches(split, config, PREPROCESS, share or Share(8), seed, start), count))


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_each_pass_meets_every_sample_once_in_a_new_order(pairs, streams):
    keys = [key for batch in batches(pairs, 15, streams=streams) for key in batch.keys]
    passes = [keys[:40], keys[40:80], keys[80:]]
    if streams == 1:
        assert all(Counter(keys) == Counter(passes[0]) for keys in passes) and len(set(passes[0])) == 40
        assert len({tuple(keys) for keys in passes}) == 3
    assert Counter(keys) == Counter({f"s{number:03d}": 3 for number in range(40)})


@pytest.mark.parametrize(("streams", "ranks"), [(1, 2), (2, 2), (4, 2), (2, 4), (1, 8)])
def test_ranks_share_the_batches_of_one_process(pairs, streams, ranks):
    whole = batches(pairs, 7, streams=streams)
    parts = [batches(pairs, 7, share=Share(8, rank, ranks), streams=streams) for rank in range(ranks)]
    for number, batch in enumerate(whole):
        assert torch.equal(batch.images, torch.cat([part[number].images for part in parts]))
        assert list(batch.texts) == [text for part in parts for text in part[number].texts]
        merged = {stream: at for part in parts for stream, at in part[number].after.items()}
        assert merged == batch.after


@pytest.mark.parametrize("streams", [1, 4])
def test_going_on_from_a_position_is_as_if_never_stopped(pairs, streams):
    whole = batches(pairs, 9, streams=streams)
    rest = batches(pairs, 3, streams=streams, start=whole[5].after)
    for expected, got in zip(whole[6:], rest, strict=True):
        assert list(got.keys) == list(expected.keys)
        assert torch.equal(got.images, expected.images)


def test_workers_change_nothing(pairs):
    for plain, forked in zip(batches(pairs, 6), batches(pairs, 6, workers=2), strict=True):
        assert torch.equal(plain.images, forked.images)


def test_seeds_and_passes_change_crops(pairs):
    first, other = batches(pairs, 10), batches(pairs, 5, seed=1)
    assert [batch.keys for batch in first[:5]] != [batch.keys for batch in other]
    by_key = [dict(zip(b.keys, b.images, strict=True)) for b in first]
    for key, pixels in by_key[0].items():
        again = next(images[key] for images in by_key[5:] if key in images)
        assert not torch.equal(pixels, again)


def test_captions_are_drawn_among_an_images_own(pairs):
    texts = {text for batch in batches(pairs, 10) for text in batch.texts}
    assert texts == {
        f"{a} {c}{t}" for c in ("red", "green", "blue", "grey") for a, t in (("a", " thing"), ("some", ""))
    }


def test_images_without_captions_are_trained_on_without_texts(tmp_path):
    members = [(f"s{number}.{kind}", data) for number in range(8) for kind, data in
               (("png", picture("red", number)), ("cls", b"1"))]  # fmt: skip
    write_shard(tmp_path / "train" / "0.tar", members)
    (tmp_path / "train" / "nshards.txt").write_text("1")
    (batch,) = batches(tmp_path, 1)
    assert list(batch.texts) == [""] * 8 and len(batch.images) == 8


def test_the_order_of_a_seed_stays_what_it_was(pairs):
    """Else no training can be repeated, and one that goes on after an update would see images twice. Shards, then the
    buffer, then passes; and of cached features the rows and their captions."""
    numbers = [[int(key[1:]) for key in batch.keys] for batch in batches(pairs, 6, seed=3, streams=2)]
    assert numbers[0] == [26, 28, 23, 30, 10, 17, 18, 19]
    assert numbers[5] == [15, 12, 19, 17, 0, 6, 4, 30]
    keys, texts = [f"k{number}" for number in range(5)], [(f"a{number}", f"b{number}") for number in range(5)]
    cached = list(islice(feature_batches(keys, np.zeros((5, 1), np.float32), texts, Share(4), 3), 3))
    assert [" ".join(batch.texts) for batch in cached] == ["a3 a4 b0 b2", "b1 b2 b0 b4", "a3 a1 b0 b4"]


def test_what_does_not_fit_is_reported(pairs):
    with pytest.raises(ConfigError, match="got 5, expected at most 4, the shards"):
        batches(pairs, 1, streams=5)
    with pytest.raises(ConfigError, match="got 3, expected a divisor of batch_size 8"):
        batches(pairs, 1, streams=3)
    with pytest.raises(ConfigError, match="expected a multiple of 3 ranks"):
        Share(8, 0, 3)


def damaged(root, broken):
    members = []
    for number in range(10):
        contents = b"not an image" if number in broken else picture("red", number)
        members += [(f"s{number}.png", contents), (f"s{number}.txt", f"text of s{number}".encode())]
    write_shard(root / "train" / "0.tar", members)
    (root / "train" / "nshards.txt").write_text("1")
    (root / "dataset_type.txt").write_text("retrieval")
    return root


def test_images_that_cannot_be_decoded(tmp_path):
    root = damaged(tmp_path, {3, 4})
    with pytest.raises(DataError, match=r"got \d images that cannot be decoded, expected at most 0.*image 's"):
        batches(root, 2)
    for workers in (0, 1):
        for batch in batches(
            root, 3, share=Share(10), allow_bad_images=2, workers=workers
        ):  # two images, however often
            assert len(batch.images) == 10 and len(batch.bad) == 2
            assert len(set(batch.keys)) == 8 and not {"s3", "s4"} & set(batch.keys)
            row = {key: place for place, key in enumerate(batch.keys)}
            for pixels, key, text in zip(batch.images, batch.keys, batch.texts, strict=True):
                assert torch.equal(pixels, batch.images[row[key]]) and text == f"text of s{key[1:]}"


def test_a_truncated_shard_is_a_data_error(tmp_path):
    path = damaged(tmp_path, set()) / "train" / "0.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="truncated or not a tar file"):
        batches(tmp_path, 1)


def test_cached_features_share_and_go_on_likewise():
    features = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)
    keys, texts = [f"k{n}" for n in range(11)], [(f"a{n}", f"b{n}") for n in range(11)]
    whole = list(islice(feature_batches(keys, features, texts, Share(4), 0), 8))
    assert Counter(key for batch in whole for key in batch.keys[:3]) <= Counter(dict.fromkeys(keys, 3))
    assert sorted([key for batch in whole for key in batch.keys][:11]) == sorted(keys)
    parts = [list(islice(feature_batches(keys, features, texts, Share(4, r, 2), 0), 8)) for r in (0, 1)]
    for number, batch in enumerate(whole):
        assert torch.equal(batch.images, torch.cat([part[number].images for part in parts]))
        assert all(text[1:] == key[1:] for key, text in zip(batch.keys, batch.texts, strict=True))
    [last] = islice(feature_batches(keys, features, texts, Share(4), 0, whole[6].after), 1)
    assert list(last.texts) == list(whole[7].texts) and torch.equal(last.images, whole[7].images)


def test_labels_join_by_key():
    labels = Labels(["b", "a"], torch.tensor([[1, 2], [3, -1]]), torch.zeros(2, 2), 4, "d", "c")
    classes_of = label_table(labels)
    assert classes_of(["a", "b", "a"]).tolist() == [[3, -1], [1, 2], [3, -1]]
    with pytest.raises(DataError, match="lacks images of the training data: 'z'"):
        classes_of(["a", "z"])


def test_clip_and_lit_need_captions():
    demo = open_dataset("wds:mlcd_eval/demo_data/wds_demo_clipart")
    with pytest.raises(IncompatibleError, match="lit needs captions: got the classification dataset demo_clipart"):
        check_captions(demo, "lit")


def test_crops_are_within_the_image_and_of_the_asked_area():
    chance = random.Random(0)
    config = Augmentation(scale=(0.3, 0.6), ratio=(0.8, 1.25))
    for _ in range(300):
        left, top, right, bottom = crop_box((60, 40), chance, config)
        assert 0 <= left < right <= 60 and 0 <= top < bottom <= 40
        assert 0.27 < (right - left) * (bottom - top) / 2400 < 0.65
        assert 0.75 < (right - left) / (bottom - top) < 1.33
    assert crop_box((100, 10), random.Random(0), Augmentation(scale=(0.99, 1.0))) == (43, 0, 56, 10)


def test_the_whole_image_without_flip_is_the_inference_transform():
    image = Image.effect_mandelbrot((32, 32), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    config = Augmentation(scale=(1, 1), ratio=(1, 1))
    assert torch.equal(augmented(image, random.Random(0), config, PREPROCESS), PREPROCESS(image))
    flipped = augmented(image, random.Random(0), config.model_copy(update={"flip": 1.0}), PREPROCESS)
    torch.testing.assert_close(flipped.flip(2), PREPROCESS(image), atol=0.02, rtol=0)
