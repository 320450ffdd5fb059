"""What an experiment tracker is given: numbers by name, at a step of one of its runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class LogRun:
    """A run of an experiment tracker.

    folder: where trackers that write local files put them. config: what tells this run from others. id: of a run that
    is continued if it exists; None for a new one. start: the step at which it starts or resumes.
    """

    project: str
    name: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    start: int = 0


class LogWriter(ABC):
    """A writer to one tracker, opened for one run. package: what it imports; extra: of mlcd-eval, with the package."""

    package: ClassVar[str]
    extra: ClassVar[str]

    @classmethod
    def check(cls) -> None:
        """Raise ConfigError for what can be seen to be missing before a run is opened, such as a login."""

    @abstractmethod
    def __init__(self, run: LogRun) -> None:
        """Open the run. Raises ConfigError if the tracker refuses, for example without a login."""

    @abstractmethod
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers, so that they can be seen at once."""

    @abstractmethod
    def close(self) -> None:
        """End the run."""
