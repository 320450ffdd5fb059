"""What a split and a data set say of themselves, from what their shards and classes say."""

from dataclasses import dataclass

import pytest

from mlcd_eval.data.annotations import Question
from mlcd_eval.data.base import ShardScan, Split, annotations_fingerprint, fingerprint, num_classes, num_scored
from mlcd_eval.errors import DataError


@dataclass
class Shard:
    found: ShardScan
    name: str = "s"
    scans: int = 0

    def scan(self):
        self.scans += 1
        return self.found


def split(*scans):
    return Split("pets", "test", [Shard(ShardScan(*scan)) for scan in scans])


def test_a_split_is_its_shards_in_their_order():
    whole = split(("a", 2, (), 3), ("b", 0), ("c", 5, (), 7))
    assert (whole.scan().num_samples, whole.scan().num_classes) == (7, 7)
    assert [shard.scans for shard in whole.shards] == [1, 1, 1]
    digests = {
        split(*(((letter, 1)) for letter in letters)).scan().fingerprint for letters in ("abc", "acb", "ab", "c")
    }
    assert len(digests) == 4 and all(len(digest) == 64 for digest in digests)
    assert split(("a", 1), ("b", 1)).scan().fingerprint == split(("a", 9, (), 2), ("b", None)).scan().fingerprint


def test_a_size_that_one_shard_does_not_know_is_not_known():
    assert split(("a", 2), ("b", None)).scan().num_samples is None
    assert split(("a", 0), ("b", None)).scan().num_samples is None
    assert split(("a", 1)).scan().num_classes is None
    with pytest.raises(DataError, match="split 'test' of pets is empty: got 0 samples, expected at least 1"):
        split(("a", 0), ("b", 0)).scan()


class Plain:
    name, kind, splits, templates, class_names = "pets", "classification", ("test",), None, None

    def split(self, name):
        assert name == "test"
        return split(("a", 2))


class Labelled(Plain):
    num_classes = 5


class Asked(Plain):
    asked = (Question(1, "p", "d", "Who?", ("Anna",)),)

    def annotations(self, split):
        return self.asked


def test_classes_are_those_that_a_data_set_has_else_its_names():
    plain, labelled = Plain(), Labelled()
    assert num_classes(plain) is None and num_classes(labelled) == 5
    plain.class_names = labelled.class_names = ("cat", "dog")
    assert num_classes(plain) == 2 and num_classes(labelled) == 5
    labelled.num_classes = None
    assert num_classes(labelled) == 2


def test_what_is_scored_are_annotations_where_there_are_some():
    assert num_scored(Plain(), "test") == 2 and num_scored(Asked(), "test") == 1


def test_a_fingerprint_is_of_images_and_annotations():
    plain, asked, other = Plain(), Asked(), Asked()
    other.asked = (Question(1, "p", "d", "Who?", ("Tom",)),)
    assert fingerprint(plain, "test") == split(("a", 2)).scan().fingerprint
    digests = [fingerprint(plain, "test"), fingerprint(asked, "test"), fingerprint(other, "test")]
    digests += [annotations_fingerprint(asked, "test"), annotations_fingerprint(other, "test")]
    assert len(set(digests)) == 5
    assert annotations_fingerprint(asked, "test") == annotations_fingerprint(Asked(), "test")
