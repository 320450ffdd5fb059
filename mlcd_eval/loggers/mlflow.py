"""MLflow: the server or store of MLFLOW_TRACKING_URI, else a store of files in FOLDER/mlflow, which needs no server."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.loggers.base import LogRun, LogWriter

ID = "mlcd_eval.id"  # the tag by which a run is found again


class MlflowWriter(LogWriter):
    """A run of mlflow. Its names allow no `@`: `recall@5` becomes `recall_at_5`."""

    package = "mlflow"
    extra = "mlflow"

    def __init__(self, run: LogRun) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        store = os.environ.get("MLFLOW_TRACKING_URI")
        if store is None:
            store = (run.folder / "mlflow").resolve().as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else mlflow asks for a database
        try:
            self._client = MlflowClient(tracking_uri=store)
            experiment = self._client.get_experiment_by_name(run.project)
            where = experiment.experiment_id if experiment else self._client.create_experiment(run.project)
            earlier = self._client.search_runs([where], f"tags.`{ID}` = '{run.id}'") if run.id else []
            self._id = earlier[0].info.run_id if earlier else self._new(run, where)
        except MlflowException as error:
            raise ConfigError(f"--log-to mlflow: {store} refused: {str(error).partition(chr(10))[0]}") from error

    def _new(self, run: LogRun, experiment: str) -> str:
        tags = {ID: run.id} if run.id else {}
        run_id = self._client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
        for name, value in run.config.items():
            self._client.log_param(run_id, name, value)
        return run_id

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write metrics. Raises DataError if the server refuses."""
        from mlflow.exceptions import MlflowException

        try:
            for name, value in values.items():
                key = re.sub(r"[^\w\-. /]", "_", name.replace("@", "_at_"))
                self._client.log_metric(self._id, key, value, step=step)
        except MlflowException as error:
            raise DataError(f"--log-to mlflow: {str(error).partition(chr(10))[0]}") from error

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._id)
