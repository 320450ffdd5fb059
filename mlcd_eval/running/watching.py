"""The checkpoints of a training, each evaluated once, by the code of a run, and the curve of their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from mlcd_eval.errors import ConfigError, UserError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.records import Result, read, record_path
from mlcd_eval.request import RunRequest
from mlcd_eval.running.checkpoints import Checkpoint, find_checkpoints
from mlcd_eval.running.result_log import ResultLog, values_of
from mlcd_eval.running.run import run
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import check_writable, write_json, write_text
from mlcd_eval.support.progress import Progress

JOURNAL = ".watch.json"
CURVE = "curve/log.jsonl"
HOW = {"models", "output", "cache", "device", "batch_size", "workers", "resume", "offline"}
"""Fields of a request that change no number."""


class Watch:
    """The watch of one training's folder, whose records go to one output folder.

    request: of a run, whose models are replaced by the checkpoints. The journal in the output folder says which
    checkpoints are done: path -> {identity, step, model}, the identity being that of the request too. A watch that is
    killed before it has noted a checkpoint finds its records when it is started again, and keeps them.
    """

    def __init__(self, folder: Path, request: RunRequest, log: ResultLog, progress: Progress | None = None) -> None:
        """Raises UserError if the folder is missing or the tasks are wrong, and while another watch has this output."""
        self.folder = folder
        self.request = request
        self.log = log
        self.progress = progress or Progress()
        self._failed: set[str] = set()  # identities that are not tried again before the next start
        self._wanted = hashlib.sha256(request.model_dump_json(exclude=HOW).encode()).hexdigest()[:16]
        find_checkpoints(folder)
        make_plan(request.model_copy(update={"models": ("python:any:model",)})).raise_problems()
        check_writable(request.output)
        self._lock = FileLock(request.output / ".watch.lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise ConfigError(f"--output: another watch is writing to {request.output}") from error

    def close(self) -> None:
        """Let another watch use the output folder."""
        self._lock.release()

    def pending(self) -> list[Checkpoint]:
        """Return the complete checkpoints that are not done, oldest first."""
        done = {entry["identity"] for entry in self._journal().values()} | self._failed
        return [checkpoint for checkpoint in find_checkpoints(self.folder) if self._identity(checkpoint) not in done]

    def _identity(self, checkpoint: Checkpoint) -> str:
        return f"{self._wanted} {checkpoint.identity}"

    def evaluate_new(self) -> Iterator[list[Result]]:
        """Evaluate checkpoints until none is pending, and yield the records of each. One that cannot be evaluated is
        reported, yields an empty list, and does not stop the others."""
        while pending := self.pending():
            checkpoint = pending[0]
            self.progress.say(f"{checkpoint.path}: step {checkpoint.step:,}")
            try:
                results = self._evaluate(checkpoint)
            except UserError as error:
                gone = "" if checkpoint.path.exists() else "it was deleted meanwhile: "
                self.progress.say(f"failed: {checkpoint.path}: {gone}{error}")
                results = []
            if results and all(result.status == "ok" for result in results):
                self._note(checkpoint)
            else:
                self._failed.add(self._identity(checkpoint))
            yield results

    def _evaluate(self, checkpoint: Checkpoint) -> list[Result]:
        plan = make_plan(self.request.model_copy(update={"models": (f"{checkpoint.model}={checkpoint.spec}",)}))
        results = []
        for result in run(plan, self.progress):
            self.log.write(result, checkpoint.step)
            results.append(result)
        return results

    def _journal(self) -> dict[str, dict[str, str | int]]:
        path = self.request.output / JOURNAL
        return read_json(path) if path.is_file() else {}

    def _note(self, checkpoint: Checkpoint) -> None:
        """Note that a checkpoint is done, and write the curve again: a line per step, as a training's log."""
        entry: dict[str, str | int] = {
            "identity": self._identity(checkpoint),
            "step": checkpoint.step,
            "model": checkpoint.model,
        }
        journal = self._journal() | {str(checkpoint.path): entry}
        models = sorted((int(entry["step"]), str(entry["model"])) for entry in journal.values())
        text = "".join(json.dumps({"step": step, **self._values(model)}) + "\n" for step, model in models)
        write_text(self.request.output / CURVE, text)
        write_json(self.request.output / JOURNAL, journal)

    def _values(self, model: str) -> dict[str, float]:
        """Return the primary metrics of a model's records, with the ends of their intervals."""
        values: dict[str, float] = {}
        for path in sorted(record_path(self.request.output, model, "x").parent.glob("*.json")):
            result = read(path)
            values |= values_of(result.model_copy(update={"metrics": (result.primary,) if result.primary else ()}))
        return values
