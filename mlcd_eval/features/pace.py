"""How many images a second are encoded, once a pass is under way."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """A stopwatch that starts after the first batches, which wait for processes to start, kernels to be chosen and
    memory to be found.

    at_once: batches in flight. They may end together, so that few of them tell little: four times as many are timed,
    or none. images: of the batches that are timed.
    """

    def __init__(self, at_once: int = 1, clock: Callable[[], float] = time.perf_counter) -> None:
        self._warm, self._least, self._clock = at_once + 2, 4 * at_once, clock
        self._batches, self._started, self._seconds = 0, 0.0, 0.0
        self.images = 0

    def done(self, images: int) -> None:
        """Note a batch when its features are there."""
        now = self._clock()
        self._batches += 1
        if self._batches <= self._warm:
            self._started = now
        else:
            self.images += images
            self._seconds = now - self._started

    @property
    def images_per_s(self) -> float | None:
        """None for a pass that was too short."""
        if self._batches < self._warm + self._least or not self._seconds:
            return None
        return self.images / self._seconds
