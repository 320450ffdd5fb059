"""Training batches: every sample once a pass, the same for any ranks and workers, and from any position on."""

import io
import multiprocessing
import os
import shutil
from collections import Counter
from contextlib import closing
from itertools import islice

import pytest
import torch
from pairs import picture, write_shard
from PIL import Image

from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError, DataError
from mlcd_train.data.batches import Share
from mlcd_train.data.pixels import pixel_batches
from mlcd_train.data.source import open_training_data
from mlcd_train.sections import DataConfig

PREPROCESS = Preprocess(image_size=16)


def opened(root, captions=True, **changes):
    return open_training_data(DataConfig(train=f"wds:{root}", **changes), None, captions)


def stream_of(root, *, share=None, seed=0, start=None, captions=True, **changes):
    config = DataConfig(train=f"wds:{root}", **{"shuffle": 7, **changes})
    return pixel_batches(opened(root, captions), config, PREPROCESS, share or Share(8), seed, start)


def batches(root, count, **options):
    with closing(stream_of(root, **options)) as stream:
        return list(islice(stream, count))


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


def test_the_order_of_a_seed_stays_what_it_was(pairs):
    """Else no training can be repeated, and one that goes on after an update would see images twice."""
    numbers = [[int(key[1:]) for key in batch.keys] for batch in batches(pairs, 6, seed=3, streams=2)]
    assert numbers[0] == [21, 22, 20, 25, 11, 12, 10, 15]
    assert numbers[5] == [10, 12, 11, 15, 0, 2, 1, 3]


def test_what_does_not_fit_is_reported(pairs):
    with pytest.raises(ConfigError, match="got 5, expected at most 4, the shards"):
        batches(pairs, 1, streams=5)
    with pytest.raises(ConfigError, match="got 3, expected a divisor of batch_size 8"):
        batches(pairs, 1, streams=3)
    with pytest.raises(ConfigError, match="expected a multiple of 3 ranks"):
        Share(8, 0, 3)


def damaged(root, broken, captions=True):
    members = []
    for number in range(10):
        contents = b"not an image" if number in broken else picture("red", number)
        members.append((f"s{number}.png", contents))
        if captions:
            members.append((f"s{number}.txt", f"text of s{number}".encode()))
    write_shard(root / "train" / "0.tar", members)
    (root / "train" / "nshards.txt").write_text("1")
    (root / "dataset_type.txt").write_text("retrieval")
    return root


def test_bad_images_are_counted_by_reason(tmp_path):
    root = damaged(tmp_path, {3, 4})
    with pytest.raises(DataError, match=r"got 2 bad samples of 10 \(undecodable: 2\), expected .* 0.01 .*image 's"):
        batches(root, 2)
    small = io.BytesIO()
    Image.new("RGB", (30, 7)).save(small, "PNG")
    write_shard(
        root / "train" / "0.tar", [(f"s{n}.png", picture("red", n) if n else small.getvalue()) for n in range(9)]
    )
    with pytest.raises(
        DataError, match=r"got 1 bad samples of 9 \(too small: 1\).*'s0' has 30 x 7 pixels, expected at"
    ):
        batches(root, 2, captions=False)


def test_bad_images_are_replaced_alike_by_any_ranks_and_workers(tmp_path):
    root = damaged(tmp_path, {3, 4})
    options = {"allow_bad": 0.2}
    whole = batches(root, 3, share=Share(10), **options)
    for batch in whole:  # a pass each
        assert len(batch.images) == 10 and sorted(bad.reason for bad in batch.bad) == ["undecodable"] * 2
        assert len(set(batch.keys)) == 8 and not {"s3", "s4"} & set(batch.keys)
        row = {key: place for place, key in enumerate(batch.keys)}
        for pixels, key, text in zip(batch.images, batch.keys, batch.texts, strict=True):
            assert torch.equal(pixels, batch.images[row[key]]) and text == f"text of s{key[1:]}"
    forked = batches(root, 3, share=Share(10), workers=3, **options)
    ranks = [batches(root, 3, share=Share(10, rank, 2), workers=rank, **options) for rank in range(2)]
    for number, batch in enumerate(whole):
        assert torch.equal(batch.images, forked[number].images)
        assert torch.equal(batch.images, torch.cat([part[number].images for part in ranks]))
        assert list(batch.keys) == [key for part in ranks for key in part[number].keys]


def test_no_image_at_all(tmp_path):
    with pytest.raises(DataError, match="none of 200 other samples can replace it"):
        batches(damaged(tmp_path, set(range(10))), 1, allow_bad=0.99)


def test_images_of_30_000_pixels_a_side(tmp_path, monkeypatch):
    """The header alone refuses it: nothing of that size is decoded."""
    root = damaged(tmp_path, set())
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    members = [(f"s{number}.png", file.getvalue() if number == 5 else picture("red", number)) for number in range(10)]
    write_shard(root / "train" / "0.tar", members)
    for decoder in ("pil", "torch"):
        [batch] = batches(root, 1, share=Share(10), captions=False, allow_bad=0.1, decoder=decoder)
        assert [bad.reason for bad in batch.bad] == ["too large"] and "s5" not in batch.keys


def test_a_truncated_shard_is_a_data_error(tmp_path):
    path = damaged(tmp_path, set()) / "train" / "0.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="truncated or not a tar file"):
        batches(tmp_path, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_changes_is_refused(pairs, tmp_path, workers):
    root = tmp_path / "pairs"
    shutil.copytree(pairs, root)
    stream = stream_of(root, workers=workers, shuffle=1)
    next(stream)
    for path in (root / "train").glob("*.tar"):
        os.utime(path, (1, 1))
    with pytest.raises(DataError, match=r"\d.tar changed since it was scanned: run the same command again"):
        for _ in range(20):
            next(stream)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_vanishes_is_tolerated_as_a_share(pairs, tmp_path, workers):
    root = tmp_path / "pairs"
    shutil.copytree(pairs, root)
    (root / "train" / "2.tar").rename(tmp_path / "away.tar")
    (root / "train" / "2.tar").symlink_to(tmp_path / "away.tar")
    stream = stream_of(root, workers=workers, allow_bad=0.25, share=Share(10))
    (tmp_path / "away.tar").unlink()
    first = [next(stream) for _ in range(4)]
    assert Counter(bad.reason for batch in first for bad in batch.bad) == {"missing shard": 10}
    keys = [key for batch in first for key in batch.keys]
    assert len(keys) == 40 and len(set(keys)) == 30
    (tmp_path / "away.tar").write_bytes((pairs / "train" / "2.tar").read_bytes())
    stream = stream_of(root, workers=workers, allow_bad=0.2)
    (tmp_path / "away.tar").unlink()
    with pytest.raises(DataError, match=r"got \d+ bad samples of 40 \(missing shard: \d+\), expected at most a share"):
        list(islice(stream, 5))


def test_a_worker_that_is_killed_is_reported(pairs):
    stream = stream_of(pairs, workers=2)
    next(stream)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(RuntimeError, match="a process that loads images ended: got exit code -9"):
        for _ in range(1000):
            next(stream)


def test_captions_of_a_megabyte(tmp_path):
    members = []
    for number in range(10):
        members += [(f"s{number}.png", picture("red", number)), (f"s{number}.txt", b"word " * 200_000)]
    write_shard(tmp_path / "train" / "0.tar", members)
    (tmp_path / "train" / "nshards.txt").write_text("1")
    [batch] = batches(tmp_path, 1, workers=1)
    assert {len(text) for text in batch.texts} == {1 << 16}
