"""Shards of mlcd-eval's read by row, and what training sees of a shard."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from mlcd_eval.data.base import Sample, ShardScan
from mlcd_eval.errors import DataError
from mlcd_train.data.batches import Bad
from mlcd_train.data.reading import StreamReader
from mlcd_train.data.shards import ScannedShard, SequentialShard, TrainScan


@dataclass
class Listed:
    """Five samples, of which the odd ones have no caption. reads: how often it was begun, and how far it was read."""

    size: int | None = 5
    name: str = "listed"
    reads: list[int] = field(default_factory=list)

    def scan(self):
        return ShardScan("f", self.size)

    def samples(self):
        self.reads.append(0)
        for number in range(5):
            self.reads[-1] += 1
            yield Sample(f"k{number}", b"", texts=() if number % 2 else (f"text {number}",))


def keys(samples):
    return [sample.key for sample in samples]


def test_rows_are_read_on_from_the_last_and_others_from_the_beginning():
    shard = Listed()
    opened = SequentialShard(shard).opened()
    assert keys(opened.rows([0, 2])) == ["k0", "k2"] and shard.reads == [3]
    assert keys(opened.rows([3])) == ["k3"] and shard.reads == [4]
    assert keys(opened.rows([3, 1, 4])) == ["k3", "k1", "k4"] and shard.reads == [4, 4, 5]
    with pytest.raises(DataError, match="listed changed since it was scanned: it has no sample 5"):
        list(opened.rows([5]))


def test_a_shard_of_unknown_size_cannot_be_trained_on():
    assert SequentialShard(Listed()).scan() == TrainScan("f", 5) and TrainScan("f", 5).without_caption is None
    assert keys(SequentialShard(Listed()).samples()) == ["k0", "k1", "k2", "k3", "k4"]
    with pytest.raises(DataError, match="listed does not say how many samples it holds, expected tars: or a local co"):
        SequentialShard(Listed(size=None)).scan()


@pytest.mark.parametrize(
    ("captioned", "prefix", "expected"),
    [(False, "", "k0 k1 k2 k3 k4"), (True, "", "k0 k2 k4"), (True, "a/", "a/k0 a/k2 a/k4")],
)
def test_a_scanned_shard_leaves_out_what_has_no_caption_and_names_the_rest(captioned, prefix, expected):
    shard = SequentialShard(Listed())
    scanned = ScannedShard(shard, TrainScan("g", 3), captioned, prefix)
    assert scanned.name == "listed" and scanned.scan() == ShardScan("g", 3)
    assert keys(scanned.samples()) == expected.split()
    assert keys(scanned.rows(shard.opened(), [1, 4])) == [f"{prefix}k1", f"{prefix}k4"]  # by row, whatever it has


def test_a_sample_without_a_caption_is_bad_where_captions_are_read():
    def usable(captions, *texts):
        return StreamReader._usable(
            SimpleNamespace(split=SimpleNamespace(captions=captions)), Sample("k", b"", texts=texts)
        )

    assert usable(True) == Bad("no caption", "sample 'k' has no caption")
    assert usable(True, "a dog").key == usable(False).key == "k"
