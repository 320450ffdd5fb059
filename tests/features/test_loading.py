"""Batches loaded by worker processes: in order, whatever their rows, and whoever holds them."""

import itertools
import os
import signal
import time

import pytest
import torch

from mlcd_eval.errors import DataError
from mlcd_eval.features import workers as processes
from mlcd_eval.features.loading import Loading
from mlcd_eval.features.workers import PART


def load(item):
    if item < 0:
        raise DataError(f"{-item} is bad")
    return torch.full((2, 3), float(item))


def loaded(batches, workers=2, load=load, shape=(2, 3), dtype=torch.float32, **options):
    return Loading(load, shape, dtype, max(map(len, batches)), workers, **options)(list(enumerate(batches)))


def values(batches):
    return [(batch.tag, [row.flatten()[0].item() for row in batch.rows], batch.bad) for batch in batches]


BATCHES = [[3], [1, -7, 2], list(range(2 * PART + 5)), [-5, -4], [9, 8, 7]]


def test_workers_load_what_this_process_does():
    expected = values(loaded(BATCHES, workers=0))
    assert expected[1] == (1, [1, 2], {1: "7 is bad"}) and expected[3] == (3, [], {0: "5 is bad", 1: "4 is bad"})
    for workers in (1, 3):
        assert values(loaded(BATCHES, workers)) == expected


def test_a_consumer_may_hold_every_batch():
    """More batches than the ring has slots: none is overwritten, and none is waited for."""
    slots = 1 + 1 + 2 * 2 * PART // 2
    batches = [[number, number] for number in range(slots + 10)]
    batches[-1][0] = -4
    kept = values(loaded(batches, held=1))
    assert [rows for _, rows, _ in kept[:-1]] == batches[:-1]
    assert kept[-1] == (slots + 9, [slots + 9], {0: "4 is bad"})


def test_rows_of_another_shape_or_type_arrive_too():
    for other in (lambda item: torch.full((5,), float(item)), lambda item: torch.full((2, 3), item, dtype=torch.int64)):
        assert values(loaded([[1, 2], [3]], load=other)) == [(0, [1, 2], {}), (1, [3], {})]


def test_the_stream_is_read_only_as_fast_as_it_is_used(tmp_path):
    """The reader is another process, so that it writes down what it reads."""

    def stream():
        for number in itertools.count():
            (tmp_path / str(number)).touch()
            yield number, [number]

    results = Loading(load, (2, 3), torch.float32, 1, 2, held=1)(stream())
    assert [next(results).tag for _ in range(3)] == [0, 1, 2]
    time.sleep(0.1)
    slots = 1 + 1 + 2 * 2 * PART
    assert len(list(tmp_path.iterdir())) <= 3 + slots
    results.close()


def test_errors_come_in_their_place_after_the_batches_before():
    def stream():
        yield 0, [1]
        yield 1, [2]
        raise DataError("the shard is damaged")

    results = Loading(load, (2, 3), torch.float32, 1, 2)(stream())
    assert [next(results).tag, next(results).tag] == [0, 1]
    with pytest.raises(DataError, match="the shard is damaged"):
        next(results)


def test_a_bug_in_a_worker_is_raised_with_its_traceback():
    def broken(item):
        return {}[item]

    with pytest.raises(KeyError) as caught:
        list(loaded([[1]], load=broken))
    assert "in broken" in str(caught.value.__cause__)


def test_a_killed_worker_is_reported():
    def dies(item):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match=r"got exit code -9, expected it to run until the last image"):
        list(loaded([[1]], load=dies))


def test_processes_end_even_if_they_still_have_the_callers_handler_of_sigterm(monkeypatch):
    """As one that was ended right after its start has it: the caller waited for it for ever."""

    def too_long(*_):
        raise AssertionError("a process was not ended")

    monkeypatch.setattr(processes, "start_worker", lambda: None)
    before = signal.signal(signal.SIGTERM, lambda *_: None), signal.signal(signal.SIGALRM, too_long)
    signal.alarm(30)
    try:
        assert values(loaded(BATCHES[:2])) == values(loaded(BATCHES[:2], workers=0))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGALRM, before[1])
