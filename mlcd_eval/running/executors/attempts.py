"""What is known of a group between its workers: how many died, and which job does it now.

A worker that dies cannot report it, and neither Ray nor Slurm counts every cause of death. So each start is a file in
the output folder, which the worker removes when it ends in any other way than by dying.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.running.executors.base import Group, Outcome, WorkerError
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_text

DEATHS = 4  # workers that a group may kill


@dataclass(frozen=True)
class GroupFolder:
    """The folder of a group below its output, hidden so that no file in it is taken for a record."""

    path: Path

    @classmethod
    def of(cls, group: Group) -> GroupFolder:
        """Return a group's folder, which need not exist."""
        return cls(group.folder / group.request.output / ".groups" / group.digest)

    @property
    def deaths(self) -> int:
        """Workers that started the group and neither ended nor still run."""
        return len(list(self.path.glob("*.start")))

    def clear(self) -> None:
        """Forget the group's deaths and its job."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write_job(self, job: dict[str, str]) -> None:
        """Remember which job does the group."""
        write_text(self.path / "job.json", json.dumps(job))

    def job(self) -> dict[str, str] | None:
        """Return what `write_job` wrote, None if there is nothing that can be read."""
        try:
            job = read_json(self.path / "job.json")
        except (OSError, ValueError):
            return None
        return job if isinstance(job, dict) and all(isinstance(value, str) for value in job.values()) else None


@dataclass(frozen=True)
class Attempt:
    """A group as a worker does it: refused after DEATHS deaths, whatever their cause."""

    group: Group

    def __call__(self) -> Outcome:
        """Return the group's outcome, or a WorkerError if too many workers have died doing it."""
        folder = GroupFolder.of(self.group)
        deaths = folder.deaths
        if deaths >= DEATHS:
            return WorkerError(f"{self.group.title}: {deaths} workers died doing it")
        folder.path.mkdir(parents=True, exist_ok=True)
        start = folder.path / f"{uuid.uuid4().hex}.start"
        start.touch()
        try:
            return self.group()
        finally:
            start.unlink(missing_ok=True)
