"""Images loaded by processes: one reads the stream of encoded images, the others decode, and results keep their order.

The calling process sees neither encoded images nor copies of decoded ones: the reader sends images to the workers,
which write rows into slots of a ring of shared memory (ring.py). For each batch the calling process receives a tag from
the reader and a short message per part of the batch from the workers.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import select
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Lock
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np
import torch

from mlcd_eval.errors import DataError
from mlcd_eval.features.ring import Ring
from mlcd_eval.support.device import usable_cores

T = TypeVar("T")
Item = TypeVar("Item")

PART = 32  # images that a worker loads at a time: several workers share a batch, which is then sooner complete


def default_workers(device: torch.device, cores: int | None = None) -> int:
    """Return the default number of decoding processes. cores: None means this process's share of the machine's.

    With a GPU all cores but one, at most 16. With a CPU two, or none below four cores, since the threads of the forward
    pass would wait for them.
    """
    cores = cores or usable_cores()
    if device.type == "cuda":
        return min(16, max(1, cores - 1))
    return 2 if cores >= 4 else 0


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """A loaded batch. rows: (number of good items, ...). bad: position of a bad item -> what is wrong with it."""

    tag: T
    rows: torch.Tensor
    bad: dict[int, str]


def stacked(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return rows as a batch, an empty tensor without rows."""
    return torch.stack(list(rows)) if rows else torch.empty(0)


@dataclass
class _Assembly:
    """A batch whose parts are arriving. slot: None for a batch whose rows come through the pipe."""

    tag: Any
    slot: int | None
    size: int
    missing: int
    bad: dict[int, str] = field(default_factory=dict)
    sent: dict[int, torch.Tensor] = field(default_factory=dict)  # rows that are not in the slot, by position

    def add(self, part: _Part) -> None:
        """Add what a worker says of a part."""
        self.bad.update(part.bad)
        self.sent.update((position, torch.from_numpy(row)) for position, row in part.sent.items())
        self.missing -= 1


@dataclass(frozen=True)
class _Part:
    """bad: position in the batch -> what is wrong. sent: rows that are not in the slot, by position."""

    bad: dict[int, str]
    sent: dict[int, np.ndarray]


class Failure:
    """An exception of another process, to be raised in this one at its place in the order."""

    def __init__(self, error: Exception) -> None:
        self.traceback = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  our own exception, to see whether it survives
            self.error = error
        except Exception:
            self.error = RuntimeError(f"{type(error).__name__}: {error}")

    def raise_again(self) -> NoReturn:
        """Raise the exception; its cause holds the traceback of the other process."""
        raise self.error from _InAnotherProcess(f"\n{self.traceback}")


class _InAnotherProcess(Exception):
    """A traceback as text."""


class Pipeline:
    """A reader and `workers` decoding processes.

    A pipe takes free slots to the reader, a queue takes parts of batches from the reader to the workers, and another
    pipe brings messages of all of them back.
    """

    def __init__(
        self,
        load: Callable[[Item], torch.Tensor],
        batches: Iterable[tuple[Any, Sequence[Item]]],
        ring: Ring,
        workers: int,
    ) -> None:
        self._ring = ring
        self._unused = ring.slots  # those that the consumer does not hold
        self._lock = threading.RLock()  # a slot may be released in the middle of anything
        context = multiprocessing.get_context("fork")
        self._messages, messages = context.Pipe(duplex=False)
        free, self._free = context.Pipe(duplex=False)
        parts: SimpleQueue[Any] = context.SimpleQueue()
        send = _Sender(messages, context.Lock())
        for slot in range(ring.slots):
            self._free.send(slot)
        reader = context.Process(target=_read, args=(batches, free, parts, send), daemon=True)
        decoders = [context.Process(target=_work, args=(load, ring, parts, send), daemon=True) for _ in range(workers)]
        self._processes = [reader, *decoders]
        for process in self._processes:
            process.start()
        messages.close()
        self._poll = select.poll()
        for file in (self._messages.fileno(), *(process.sentinel for process in self._processes)):
            self._poll.register(file, select.POLLIN)

    def results(self) -> Iterator[Loaded[Any]]:
        """Yield each batch when it is complete, in order."""
        arriving: dict[int, _Assembly | Failure | None] = {}
        for next_number in itertools.count():
            while not _is_complete(arriving, next_number):
                with self._lock:
                    if self._unused == 0:  # the consumer holds every slot: the next batch goes without one
                        self._unused += 1
                        self._free.send(None)
                number, message = self._receive()
                batch = arriving.get(number)
                if isinstance(message, _Part) and isinstance(batch, _Assembly):
                    batch.add(message)
                elif not isinstance(message, _Part):
                    arriving[number] = message
            match arriving.pop(next_number):
                case None:
                    return
                case Failure() as failure:
                    failure.raise_again()
                case batch:
                    yield self._loaded(batch)

    def _receive(self) -> Any:
        ready = [file for file, _ in self._poll.poll()]
        if self._messages.fileno() in ready:
            return self._messages.recv()
        ended = next(process for process in self._processes if process.sentinel in ready)
        raise lost(ended, "the last image")

    def _loaded(self, batch: _Assembly) -> Loaded[Any]:
        with self._lock:
            self._unused -= 1
        bad = dict(sorted(batch.bad.items()))
        good = [position for position in range(batch.size) if position not in bad]
        if batch.slot is None:
            return Loaded(batch.tag, stacked([batch.sent[position] for position in good]), bad)
        rows = self._ring.hand_out(batch.slot, self._release)[: batch.size]
        if batch.sent:
            rows = stacked([batch.sent.get(position, rows[position]) for position in good])
        elif bad:
            rows = rows[good] if good else torch.empty(0)
        return Loaded(batch.tag, rows, bad)

    def _release(self, slot: int) -> None:
        with self._lock, suppress(OSError):  # the pipe is closed after the last batch
            self._unused += 1
            self._free.send(slot)

    def close(self) -> None:
        """End the processes."""
        end(self._processes)
        self._free.close()
        self._messages.close()


def lost(process: BaseProcess, until: str) -> RuntimeError:
    """The error of a process that ended before it should."""
    process.join()
    return RuntimeError(
        f"a process that loads images ended: got exit code {process.exitcode}, expected it to run until {until} "
        "(-9: killed, perhaps for lack of memory, of which fewer workers take less)"
    )


def end(processes: Sequence[BaseProcess]) -> None:
    """End processes. SIGTERM would not do: one that has just started may still have this process's handler."""
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _is_complete(arriving: Mapping[int, _Assembly | Failure | None], number: int) -> bool:
    batch = arriving.get(number)
    return number in arriving and not (isinstance(batch, _Assembly) and batch.missing)


class _Sender:
    """Sends messages by a pipe that several processes share."""

    def __init__(self, pipe: Connection, turn: Lock) -> None:
        self._pipe = pipe
        self._turn = turn

    def __call__(self, number: int, message: _Assembly | _Part | Failure | None) -> None:
        with self._turn:
            self._pipe.send((number, message))


def start_worker() -> None:
    """Prepare a forked process: it leaves Ctrl-C to its parent, ends when that dies, and has one thread for torch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the parent ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # a forked OpenMP pool would hang, and images are loaded in parallel anyway


def _leave_with_parent() -> None:
    """Exit when the parent dies: a killed parent cannot end its workers, which would wait for ever with its locks."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read(
    batches: Iterable[tuple[Any, Sequence[Any]]], free: Connection, parts: SimpleQueue[Any], send: _Sender
) -> None:
    """Read the stream, as fast as slots become free."""
    start_worker()
    number = 0
    try:
        stream = iter(batches)
        while True:
            slot = free.recv()
            batch = next(stream, None)
            if batch is None:
                break
            tag, items = batch
            starts = range(0, len(items), PART)
            send(number, _Assembly(tag, slot, len(items), len(starts)))
            for start in starts:
                parts.put((number, slot, start, items[start : start + PART]))
            number += 1
        send(number, None)
    except Exception as error:
        send(number, Failure(error))
    threading.Event().wait()  # until this process is ended: one that ends by itself was killed


def _work(load: Callable[[Any], torch.Tensor], ring: Ring, parts: SimpleQueue[Any], send: _Sender) -> None:
    """Load parts into their slots."""
    start_worker()
    while True:
        number, slot, start, items = parts.get()
        bad, sent = {}, {}
        target = None if slot is None else ring.tensor(slot)
        try:
            for position, item in enumerate(items, start):
                try:
                    row = load(item)
                except DataError as error:
                    bad[position] = str(error)
                else:
                    if target is not None and ring.fits(row):
                        target[position] = row
                    else:
                        sent[position] = row.numpy()
            send(number, _Part(bad, sent))
        except Exception as error:
            send(number, Failure(error))
