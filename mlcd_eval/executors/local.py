"""This process; under torchrun, all of its processes together."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from mlcd_eval.plan import Plan
from mlcd_eval.progress import Progress
from mlcd_eval.records import Result


@dataclass(frozen=True)
class LocalExecutor:
    """Each model is loaded once for all of its datasets."""

    def execute(self, plan: Plan, progress: Progress) -> list[Result]:
        """The records; none on ranks other than the first."""
        from mlcd_eval.distributed import ranks, under_torchrun
        from mlcd_eval.run import pick_device, run

        with ranks(pick_device(plan.request.device)) if under_torchrun() else contextlib.nullcontext():
            return list(run(plan, progress))
