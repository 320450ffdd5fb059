"""Running in this process or, under torchrun, in all of its processes together."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from mlcd_eval.planning.plan import Plan
from mlcd_eval.records import Result
from mlcd_eval.running.executors.base import Received, ignored
from mlcd_eval.support.progress import Progress


@dataclass(frozen=True)
class LocalExecutor:
    """An executor that loads each model once for all of its datasets."""

    def execute(self, plan: Plan, progress: Progress, received: Received = ignored) -> list[Result]:
        """Return the records in the plan's order; none on ranks other than the first."""
        from mlcd_eval.running.run import run
        from mlcd_eval.support.device import pick_device
        from mlcd_eval.support.distributed import ranks, under_torchrun

        with ranks(pick_device(plan.request.device)) if under_torchrun() else contextlib.nullcontext():
            results = []
            for result in run(plan, progress):
                received(result)
                results.append(result)
            return results
