"""Processes that read, shuffle and decode, each its own places of every batch, into shared memory.

A round is some consecutive batches, so that a worker writes at least UNIT images before it sends one short message.
The calling process sees no encoded image and copies no pixel.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NoReturn

import torch
from torch import Tensor

from mlcd_eval.features.ring import Ring
from mlcd_eval.features.workers import Failure, end, lost, start_worker
from mlcd_train.data.memory import check_memory
from mlcd_train.data.slices import Made, Reading, Slice

UNIT = 64  # images that a worker writes at least before it sends a message
SLOTS = 3  # rounds in memory: one is trained on, one is complete, one is being written
WAIT = 5.0  # seconds between looks at whether a worker still lives


def can_fork() -> bool:
    """Whether this system can start workers."""
    return "fork" in multiprocessing.get_all_start_methods()


class Workers:
    """`count` processes that share the places of a rank. shape: of a row, (H, W, 3) uint8."""

    def __init__(self, reading: Reading, places: range, shape: tuple[int, int, int], count: int) -> None:
        count = min(count, len(places))
        self._places, self._size = places, len(places)
        self._batches = max(1, -(-UNIT * count // self._size))  # of a round
        check_memory(
            SLOTS * self._batches * self._size * shape[0] * shape[1] * shape[2], "decoded images (data.workers)"
        )
        self._ring = Ring(SLOTS, self._batches * self._size, shape, torch.uint8)
        self._lock = threading.RLock()  # a slot may be released in the middle of anything
        context = multiprocessing.get_context("fork")
        self._slots: list[Connection] = []
        self._results: list[Connection] = []
        self._processes = []
        for number in range(count):
            mine = range(number * self._size // count, (number + 1) * self._size // count)
            slots, send_slots = context.Pipe(duplex=False)
            results, send_results = context.Pipe(duplex=False)
            work = (reading, places, mine, self._ring, self._batches, slots, send_results)
            process = context.Process(target=_work, args=work, daemon=True)
            process.start()
            send_results.close()
            slots.close()
            self._slots.append(send_slots)
            self._results.append(results)
            self._processes.append(process)
        self._sent: deque[int] = deque()  # the slots that workers fill, in order
        for slot in range(SLOTS):
            self._release(slot)

    def pin(self) -> None:
        """Lock the shared memory for copies to a CUDA device."""
        self._ring.pin()

    def batches(self) -> Iterator[tuple[Tensor, Made]]:
        """The rows of each batch (places, H, W, 3) uint8, which are written again once nothing refers to them."""
        while True:
            slot = self._sent.popleft()
            parts = [self._receive(worker) for worker in range(len(self._results))]
            rows = self._ring.hand_out(slot, self._release)
            for batch in range(self._batches):
                made = [part[batch] for part in parts]
                yield rows[batch * self._size : (batch + 1) * self._size], _joined(made)
            del rows

    def _receive(self, worker: int) -> list[Made]:
        while not self._results[worker].poll(WAIT):
            if not self._processes[worker].is_alive():
                self._lost(worker)
        try:
            message = self._results[worker].recv()
        except EOFError:
            self._lost(worker)
        if isinstance(message, Failure):
            message.raise_again()
        return message

    def _lost(self, worker: int) -> NoReturn:
        raise lost(self._processes[worker], "the end of training")

    def _release(self, slot: int) -> None:
        with self._lock, suppress(OSError):  # the pipes are closed at the end
            for pipe in self._slots:
                pipe.send(slot)
            self._sent.append(slot)

    def close(self) -> None:
        """End the processes."""
        end(self._processes)
        for pipe in (*self._slots, *self._results):
            pipe.close()
        self._ring.unpin()


def _joined(parts: Sequence[Made]) -> Made:
    return Made(
        [key for part in parts for key in part.keys],
        [text for part in parts for text in part.texts],
        [seed for part in parts for seed in part.seeds],
        [bad for part in parts for bad in part.bad],
    )


def _work(
    reading: Reading, places: range, mine: range, ring: Ring, batches: int, slots: Connection, results: Connection
) -> None:
    """Fill this worker's places (`mine`, of those of the rank) of every batch of a round, round after round."""
    start_worker()
    try:
        work = Slice(reading, places[mine.start : mine.stop])
        while True:
            rows = ring.tensor(slots.recv()).view(batches, len(places), *ring.shape)
            results.send([work.fill(rows[batch, mine.start : mine.stop]) for batch in range(batches)])
    except Exception as error:
        results.send(Failure(error))
    threading.Event().wait()  # until this process is ended: one that ends by itself was killed
