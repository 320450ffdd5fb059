"""A pass that is stopped within a chunk resumes there, and its features are those of a pass that is not stopped."""

import numpy as np
import pytest
from PIL import Image
from tiny_encoder import TinyEncoder

from mlcd_eval.data.base import Sample, ShardScan, Split
from mlcd_eval.features import pieces
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.store import Entry, FeatureKey, Part


class Stopped(TinyEncoder):
    """Counts its images, and is interrupted instead of encoding more than `most` of them."""

    def __init__(self, most=10**9):
        super().__init__()
        self.most, self.count = most, 0

    def encode_images(self, pixels, layers):
        if self.count + len(pixels) > self.most:
            raise KeyboardInterrupt
        self.count += len(pixels)
        return super().encode_images(pixels, layers)


class Shard:
    """20 images in a folder, the sixth of which is damaged."""

    def __init__(self, folder, shade):
        self.name, self.folder = folder.name, folder
        folder.mkdir()
        for number in range(20):
            Image.new("RGB", (8, 8), (10 * number, shade, 7)).save(folder / f"{shade}_{number:02d}.png")

    def scan(self):
        return ShardScan(self.name, 20)

    def samples(self):
        for number, path in enumerate(sorted(self.folder.iterdir())):
            yield Sample(path.stem, path.read_bytes() if number != 5 else b"no image", number % 3)


@pytest.fixture
def split(tmp_path):
    return Split("data", "test", [Shard(tmp_path / f"shard{shard}", 100 * shard) for shard in range(2)])


@pytest.fixture(autouse=True)
def at_each_batch(monkeypatch):
    monkeypatch.setattr(pieces, "SECONDS", 0.0)


def encode(encoder, split, folder, layers=("penultimate", "projected"), **more):
    return encode_split(encoder, split, list(layers), EncodeOptions(folder, batch_size=4, allow_bad_images=2, **more))


def arrays(encoded):
    return {layer: (f.array.tolist(), list(f.keys), list(f.bad), f.labels.tolist()) for layer, f in encoded.items()}


@pytest.mark.parametrize("limit", [None, 24])
@pytest.mark.parametrize("most", [0, 4, 11, 25])
def test_a_stopped_pass_loses_one_batch(tmp_path, split, most, limit):
    expected = encode(TinyEncoder(), split, tmp_path / "whole", limit=limit)
    stopped, resumed = Stopped(most), Stopped()
    if most < expected.images_encoded:
        with pytest.raises(KeyboardInterrupt):
            encode(stopped, split, tmp_path / "cache", limit=limit)
    again = encode(resumed, split, tmp_path / "cache", limit=limit)
    assert arrays(again.features) == arrays(expected.features)
    assert stopped.count + resumed.count == expected.images_encoded or stopped.count == 0
    assert again.images_encoded == resumed.count
    assert not list(tmp_path.rglob("*.piece"))


def stop_after(most, split, cache, **more):
    with pytest.raises(KeyboardInterrupt):
        encode(Stopped(most), split, cache, **more)
    return sorted(cache.rglob("*.piece"))


def test_pieces_of_one_layer_do_not_serve_two(tmp_path, split):
    stop_after(11, split, tmp_path / "cache", layers=["projected"])
    resumed = Stopped()
    layers = ["projected", "patches"]
    again = encode(resumed, split, tmp_path / "cache", layers=layers)
    assert resumed.count == 38
    assert arrays(again.features) == arrays(encode(TinyEncoder(), split, tmp_path / "whole", layers=layers).features)


def test_pieces_behind_a_damaged_one_are_encoded_again(tmp_path, split):
    first, *_ = stop_after(11, split, tmp_path / "cache", layers=["projected"])
    first.write_bytes(first.read_bytes()[:-1])
    resumed = Stopped()
    with pytest.warns(UserWarning, match="piece are damaged: they are computed again"):
        again = encode(resumed, split, tmp_path / "cache", layers=["projected"])
    assert resumed.count == 38
    expected = encode(TinyEncoder(), split, tmp_path / "whole", layers=["projected"])
    assert arrays(again.features) == arrays(expected.features)


def test_a_chunk_that_is_wholly_in_pieces_is_finished(tmp_path):
    """A run was killed between the last piece and the part."""
    entry = Entry(tmp_path, FeatureKey("w", "p", "fp32", "projected", "image", "d"))
    of_chunk = pieces.Pieces({"projected": entry}, {(3, 1): ["projected"]})
    for number in range(3):
        of_chunk.add((3, 1), {"projected": Part(np.full((2, 2), number, np.float32), ["a", "b"], [0, 1], [[], []], [])})
    resumed = pieces.Pieces({"projected": entry}, {(3, 1): ["projected"]})
    assert resumed.stops == {(3, 1): 6}
    resumed.finish((3, 1), {"projected": Part(np.empty((0, 0), np.float32), [], [], [], ["c"])})
    part = entry.read_part((3, 1))
    assert part.array[:, 0].tolist() == [0, 0, 1, 1, 2, 2] and part.keys == ["a", "b"] * 3 and part.bad == ["c"]
    assert not list(tmp_path.rglob("*.piece"))
