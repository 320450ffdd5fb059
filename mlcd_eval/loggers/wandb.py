"""Weights & Biases. WANDB_MODE=offline writes to FOLDER/wandb, for `wandb sync`; its other variables apply too."""

from __future__ import annotations

from collections.abc import Mapping

from mlcd_eval.errors import ConfigError
from mlcd_eval.loggers.base import LogRun, LogWriter

OTHERWISE = "(or set WANDB_MODE=offline, and sync later)"


class WandbWriter(LogWriter):
    """A run of wandb, which prints nothing. Its resumed runs ignore steps that it already has."""

    package = "wandb"
    extra = "wandb"

    @classmethod
    def check(cls) -> None:
        """Raise ConfigError without a login, unless the mode needs none."""
        import wandb

        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise ConfigError(f"--log-to wandb: there is no login, expected one by `wandb login` {OTHERWISE}")

    def __init__(self, run: LogRun) -> None:
        import wandb

        run.folder.mkdir(parents=True, exist_ok=True)  # else wandb writes to a temporary folder
        try:
            self._run = wandb.init(
                project=run.project,
                name=run.name,
                dir=str(run.folder),
                config=dict(run.config),
                id=run.id,
                resume="allow" if run.id else None,
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off"),
            )
        except wandb.Error as error:
            raise ConfigError(f"--log-to wandb: {str(error).partition(chr(10))[0]} {OTHERWISE}") from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row of the run's history."""
        self._run.log({**values, "step": step}, step=step, commit=True)

    def close(self) -> None:
        """End the run, once all has been written."""
        self._run.finish()
