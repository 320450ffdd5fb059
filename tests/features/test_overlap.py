"""Batches in flight: in order, each thread with its cores, a GPU one batch ahead of its results."""

from itertools import islice

import pytest
import torch
from tiny_encoder import TinyEncoder

from mlcd_eval.features.overlap import Overlap, _threaded_map


class Here(TinyEncoder):
    def __init__(self, device="cpu", reentrant=True):
        super().__init__()
        self.place, self.reentrant = torch.device(device), reentrant

    @property
    def device(self):
        return self.place


@pytest.mark.parametrize(
    ("encoder", "cores", "held", "threads", "each"),
    [
        (Here(), 1, 4, 1, 1),
        (Here(), 4, 10, 4, 1),
        (Here(), 17, 18, 8, 2),
        (Here(reentrant=False), 4, 3, None, None),
        (Here("meta"), 4, 3, None, None),
        (Here("cuda"), 4, 3, None, None),
    ],
)
def test_a_cpu_shares_its_cores_among_batches(monkeypatch, encoder, cores, held, threads, each):
    given = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr("mlcd_eval.features.overlap._threaded_map", lambda *arguments: given.append(arguments[2:]))
    overlap = Overlap(encoder)
    assert overlap.held == held
    overlap(lambda batch: None, [])
    assert given == ([(threads, each)] if threads else [])


class Queued:
    def __init__(self, events, batch):
        self.events, self.batch = events, batch
        events.append(f"call {batch}")

    def arrays(self):
        self.events.append(f"wait {self.batch}")
        return {"x": self.batch}


@pytest.mark.parametrize(
    ("encoder", "order"),
    [
        (Here("cuda"), ["call 1", "call 2", "wait 1", "call 3", "wait 2", "wait 3"]),
        (Here(reentrant=False), ["call 1", "wait 1", "call 2", "wait 2", "call 3", "wait 3"]),
    ],
    ids=["cuda", "cpu"],
)
def test_a_gpu_has_the_next_batch_before_the_results_are_awaited(encoder, order):
    events = []
    assert list(Overlap(encoder)(lambda batch: Queued(events, batch), [1, 2, 3])) == [(n, {"x": n}) for n in (1, 2, 3)]
    assert events == order
    assert list(Overlap(encoder)(lambda batch: Queued(events, batch), [])) == []


def test_threads_keep_the_order_and_read_two_items_each_ahead():
    before, read = torch.get_num_threads(), []

    def items():
        for number in range(9):
            read.append(number)
            yield number

    found = _threaded_map(lambda number: (number * number, torch.get_num_threads()), items(), threads=2, cores=3)
    assert next(found) == (0, (0, 3)) and read == [0, 1, 2, 3, 4]
    assert list(found) == [(number, (number * number, 3)) for number in range(1, 9)]
    assert torch.get_num_threads() == before


def test_a_failure_comes_at_its_place_and_leaves_the_threads_as_they_were():
    before, done = torch.get_num_threads(), []

    def call(number):
        done.append(number)
        return 1 // (number - 3)

    found = _threaded_map(call, iter(range(100)), threads=1, cores=before + 1)
    assert [number for number, _ in islice(found, 3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert torch.get_num_threads() == before and len(done) < 9
