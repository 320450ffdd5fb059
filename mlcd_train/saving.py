"""States written in a thread while training goes on: it is held up only for the copy to the host's memory."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlcd_eval.support.distributed import new_side_group, wait_in
from mlcd_train.state import TrainingState


class StateWriter:
    """Writes a training's states to `folder`, one after another, and keeps the last `keep`. Every rank has one.

    config: digest of what must be the same to resume.
    """

    def __init__(self, folder: Path, config: str, keep: int) -> None:
        self._folder, self._config, self._keep = folder, config, keep
        self._group: Any = new_side_group()  # of its own: the threads' messages must not meet those of training
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="states")
        self._last: Future[None] | None = None

    def write(self, state: TrainingState) -> None:
        """Begin to write a state as it is now, once the one before is written; raises what writing that one raised."""
        self.wait()
        contents = state.contents(self._config)
        group = self._group
        self._last = self._thread.submit(contents.write, self._folder, self._keep, lambda: wait_in(group), group)

    def wait(self) -> None:
        """Wait for the last state; raises what writing it raised."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """Wait, and end the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
