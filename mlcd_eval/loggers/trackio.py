"""Trackio: a local database in TRACKIO_DIR that `trackio show` displays, or a Space by TRACKIO_SPACE_ID."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping

from mlcd_eval.loggers.base import LogRun, LogWriter


class TrackioWriter(LogWriter):
    """A run of trackio, whose names are unique within a project: a run that is not continued gets its own."""

    package = "trackio"
    extra = "trackio"

    def __init__(self, run: LogRun) -> None:
        import trackio

        with contextlib.redirect_stdout(io.StringIO()):  # its greeting
            self._run = trackio.init(
                project=run.project,
                name=run.name,
                config=dict(run.config),
                resume="allow" if run.id else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """End the run, once all has been written."""
        import trackio
        from trackio import context_vars

        context_vars.current_run.set(self._run)  # which alone is not finished again when the program ends
        with contextlib.redirect_stdout(io.StringIO()):
            trackio.finish()
