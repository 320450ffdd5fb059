"""Runs pytest in forked children of a process that has imported the libraries, so that no run waits for these.

python server.py, in the root of a copy that is on PYTHONPATH. Each line of the standard input is JSON: arguments of
pytest, variables, and a limit in seconds of a process's own time, so that a busy machine ends nothing. For each, one
line is written: pytest's exit code, 124 for a run that passed ten times the limit by the clock.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import time

LIBRARIES = (
    "pytest", "hypothesis", "numpy", "pandas", "PIL.Image", "pydantic", "yaml", "jinja2", "rich.progress", "requests",
    "torch", "torchvision.transforms", "safetensors.torch", "huggingface_hub", "open_clip", "timm", "transformers",
    "pycocotools.mask", "rapidfuzz.distance", "scipy.optimize", "sklearn.linear_model", "sklearn.metrics",
    "clip_benchmark.metrics.zeroshot_classification", "pyarrow.parquet", "torch.distributed.run", "torch._dynamo",
)  # fmt: skip


def main() -> None:
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert not any(name.startswith(("mlcd_eval", "mlcd_train")) for name in sys.modules), "these are to be changed"
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run(request["arguments"], request["variables"], int(request["limit"]))
        print(outcome(child, 10 * request["limit"]), flush=True)


def run(arguments: list[str], variables: dict[str, str], limit: int) -> None:
    """Run pytest in this child, and end it."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    os.environ.update(variables)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    for folder in reversed(variables["PYTHONPATH"].split(os.pathsep)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    import pytest

    code = 70
    try:
        code = int(pytest.main(arguments))
    finally:
        os._exit(code)


def outcome(child: int, limit: float) -> int:
    """The exit code of a child that may take `limit` seconds; what it started and left is ended with it."""
    end, code = time.monotonic() + limit, None
    while code is None and time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if ended else None
        time.sleep(0 if ended else 0.02)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    return 124 if code is None else code


if __name__ == "__main__":
    main()
