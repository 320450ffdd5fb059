"""The experiment trackers by name, and several of them as one writer. A tracker is imported when it is used."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from mlcd_eval.errors import ConfigError
from mlcd_eval.loggers.base import LogRun, LogWriter
from mlcd_eval.support.registry import Registry

HERE = "mlcd_eval.loggers"
LOGGERS: Registry[type[LogWriter]] = Registry(
    "log writer",
    "mlcd_eval.loggers",
    {
        "wandb": f"{HERE}.wandb:WandbWriter",
        "trackio": f"{HERE}.trackio:TrackioWriter",
        "tensorboard": f"{HERE}.tensorboard:TensorboardWriter",
        "mlflow": f"{HERE}.mlflow:MlflowWriter",
    },
)


def check_loggers(names: Sequence[str]) -> None:
    """Raise ConfigError for an unknown name, a package that is not installed, or a login that is missing."""
    for name in names:
        writer = LOGGERS[name]
        if importlib.util.find_spec(writer.package) is None:
            raise ConfigError(f"--log-to {name} needs {writer.package}: pip install 'mlcd-eval[{writer.extra}]'")
        writer.check()


class Writers(LogWriter):
    """One run in several trackers."""

    def __init__(self, names: Sequence[str], run: LogRun) -> None:
        self._writers: list[LogWriter] = []
        try:
            for name in names:
                self._writers.append(LOGGERS[name](run))
        except BaseException:
            self.close()
            raise

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers to all of them."""
        for writer in self._writers:
            writer.write(step, values)

    def close(self) -> None:
        """End the run in all of them."""
        for writer in self._writers:
            writer.close()
