"""Where the time of training goes: seconds per step for data, forward, backward, class centres and optimizer."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Literal

import torch

Phase = Literal["data", "forward", "backward", "centres", "optimizer", "other"]
PHASES: tuple[Phase, ...] = ("data", "forward", "backward", "centres", "optimizer")
"""What is reported. `data` is of the next step; `other` is what comes between steps: logs, evaluations and states."""


class Clock:
    """Adds up the seconds of each phase; one phase begins where the one before it ends.

    On a GPU phases are measured by events in its stream, which are read once they are over: the host never waits for
    them. So `data` is the time for which the GPU has nothing to do.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._marks: deque[tuple[Phase, Any]] = deque()
        self._steps = 0
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self.total = dict.fromkeys(PHASES, 0.0)

    def enter(self, phase: Phase) -> None:
        """Begin a phase; `other` ends a step."""
        self._steps += phase == "other"
        mark: Any = time.perf_counter()
        if self._cuda:
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        self._marks.append((phase, mark))
        while len(self._marks) > 1 and (not self._cuda or self._marks[1][1].query()):
            (ended, begin), (_, end) = self._marks.popleft(), self._marks[0]
            if ended in self._seconds:
                self._seconds[ended] += begin.elapsed_time(end) / 1000 if self._cuda else end - begin

    def read(self) -> dict[str, float]:
        """`seconds/PHASE` per step since the last reading."""
        steps = max(self._steps, 1)
        read = {f"seconds/{phase}": seconds / steps for phase, seconds in self._seconds.items()}
        for phase, seconds in self._seconds.items():
            self.total[phase] += seconds
        self._seconds, self._steps = dict.fromkeys(PHASES, 0.0), 0
        return read

    def shares(self) -> str:
        """What has been read, as shares: `data 3%, forward 30%, ...`; empty before the first step."""
        whole = sum(self.total.values())
        return ", ".join(f"{phase} {seconds / whole:.0%}" for phase, seconds in self.total.items()) if whole else ""
