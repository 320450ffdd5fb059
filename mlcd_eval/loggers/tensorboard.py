"""TensorBoard: event files in FOLDER/tensorboard. Numbers only; it needs no server."""

from __future__ import annotations

from collections.abc import Mapping

from mlcd_eval.loggers.base import LogRun, LogWriter


class TensorboardWriter(LogWriter):
    """A continued run hides what it wrote after its start, before it was killed."""

    package = "tensorboard"
    extra = "tensorboard"

    def __init__(self, run: LogRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge = run.start + 1 if run.start else None
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=purge)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
