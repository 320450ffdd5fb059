"""The order, against a plain construction of it, and from any position on."""

from collections import Counter
from itertools import islice

import pytest

from mlcd_train.data.order import Order

COUNTS = (5, 3, 7, 1, 4, 6, 2, 9)


def drawn(order, stream, start=(0, 0), count=60):
    def endless():
        for window in order.windows(stream, start):
            shards = order.shards(stream, window.passes)
            for shard, row in zip(window.shards, window.rows, strict=True):
                yield window.passes, shards[shard], int(row)

    return list(islice(endless(), count))


@pytest.mark.parametrize("window", [1, 4, 100])
def test_a_pass_over_all_streams_meets_every_row_once(window):
    order = Order(COUNTS, 3, window, 0)
    met = Counter()
    for stream in range(3):
        rows = drawn(order, stream, count=order.size(stream, 0))
        assert {passes for passes, _, _ in rows} == {0}
        met.update((shard, row) for _, shard, row in rows)
    assert met == Counter((shard, row) for shard, count in enumerate(COUNTS) for row in range(count))


def test_samples_are_shuffled_within_windows_of_consecutive_ones():
    order = Order(COUNTS, 2, 6, 0)
    in_files = [(shard, row) for shard in order.shards(1, 0) for row in range(COUNTS[shard])]
    rows = [(shard, row) for _, shard, row in drawn(order, 1, count=len(in_files))]
    assert rows != in_files
    for first in range(0, len(rows), 6):
        assert sorted(rows[first : first + 6]) == sorted(in_files[first : first + 6])
    assert rows == [(shard, row) for shard, row in (pair[1:] for pair in drawn(order, 1, count=len(rows)))]
    assert rows != [pair[1:] for pair in drawn(Order(COUNTS, 2, 6, 1), 1, count=len(rows))]


def test_every_position_is_where_the_samples_before_it_end():
    order = Order(COUNTS, 2, 4, 3)
    whole, position = drawn(order, 0, count=90), (0, 0)
    for taken in range(0, 70, 5):
        assert drawn(order, 0, position, 20) == whole[taken : taken + 20]
        position = order.advanced(0, position, 5)


def test_a_position_far_into_training_takes_no_time():
    """Thirty passes into 400 million samples: nothing grows with what was taken."""
    order = Order((10_000,) * 40_000, 64, 5_000, 0)
    position = order.advanced(7, (30, 0), 3_333_333)
    assert position == (30, 3_333_333)
    window = next(order.windows(7, position))
    assert len(window.rows) == 5_000 - 3_333_333 % 5_000 and window.passes == 30


def test_substitutes_are_of_the_streams_other_shards_first():
    order = Order(COUNTS, 2, 4, 0)
    shards = order.shards(0, 0)
    first = list(islice(order.substitutes(0, 0, 1, 2), 3))
    assert [number for number, _ in first] == [shards[2], shards[3], shards[0]]
    assert all(row < COUNTS[number] for number, row in islice(order.substitutes(0, 0, 1, 2), 300))
    assert {number for number, _ in islice(order.substitutes(0, 0, 1, 2), 300)} == set(range(8))
