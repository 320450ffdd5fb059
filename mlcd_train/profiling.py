"""`--profile N`: a trace of N training steps by PyTorch's profiler, and a sentence with the operations that take most
of their time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from mlcd_eval.support.progress import Progress

SKIPPED = 2  # first steps, in which memory is allocated and algorithms are chosen
NAMED = 5  # operations in the sentence
TRACE = "profile.json"


class StepProfiler:
    """Profiles `steps` steps after the first SKIPPED of a run, or those that there are, and writes folder/profile.json,
    which chrome://tracing and Perfetto show. With 0 steps it does nothing."""

    def __init__(self, steps: int, folder: Path, title: str, device: torch.device, progress: Progress) -> None:
        self._steps, self._folder, self._title, self._progress = steps, folder, title, progress
        self._on_gpu, self._done = device.type == "cuda", 0
        self._profiler: Any = None
        if steps:
            activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._on_gpu else [])]
            plan = schedule(wait=0, warmup=SKIPPED, active=steps, repeat=1)
            self._profiler = profile(activities=activities, schedule=plan, on_trace_ready=self._write)
            self._profiler.start()

    def step(self) -> None:
        """A training step is over."""
        self._done += 1
        if self._profiler is not None:
            self._profiler.step()
            if self._done == SKIPPED + self._steps:
                self.close()

    def close(self) -> None:
        """End profiling; what was recorded is written."""
        if self._profiler is not None:
            profiler, self._profiler = self._profiler, None
            profiler.stop()

    def _write(self, profiler: Any) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path, temporary = self._folder / TRACE, self._folder / f".{TRACE}"
        profiler.export_chrome_trace(str(temporary))
        temporary.rename(path)
        self._progress.say(
            f"{self._title}: profile of {self._done - SKIPPED:,} steps in {path}; most time on the "
            f"{'GPU' if self._on_gpu else 'CPU'}: {self._costs(profiler)}"
        )

    def _costs(self, profiler: Any) -> str:
        """`aten::mm 40%, ...`: operations by their share of the time, without that of others within them."""
        name = "self_device_time_total" if self._on_gpu else "self_cpu_time_total"
        costs = [(getattr(event, name), event.key) for event in profiler.key_averages()]
        costs = [(seconds, key) for seconds, key in costs if not key.startswith("ProfilerStep")]
        whole = sum(seconds for seconds, _ in costs) or 1.0
        return ", ".join(f"{key} {seconds / whole:.0%}" for seconds, key in sorted(costs, reverse=True)[:NAMED])
