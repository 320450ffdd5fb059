"""Python imports this at its start where this folder is on PYTHONPATH: what a test starts notes what it calls.

Each line of the file $MUTANTS_TRACE is a test, a source file and the qualified name of a function that the test calls.
"""

import os
import sys
import threading


def start(of_test: str | None = None) -> None:
    """Trace this process from now on. of_test: the test that started it, which may be one of a pytest of its own."""
    path, root = os.environ["MUTANTS_TRACE"], os.environ["MUTANTS_ROOT"].rstrip("/") + "/"
    seen: dict = {}
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    environment = os.environ

    def called(frame, event, argument):
        code = frame.f_code
        last = seen.get(code)
        if last is False:
            return
        if last is None and not (code.co_filename.startswith(root) and "/tests/" not in code.co_filename):
            seen[code] = False
            return
        test = (of_test or environment.get("PYTEST_CURRENT_TEST", "")).rpartition(" ")[0]
        if test != last:
            seen[code] = test
            os.write(file, f"{test}\t{code.co_filename[len(root) :]}\t{code.co_qualname}\n".encode())

    sys.settrace(called)
    threading.settrace(called)


if "PYTEST_CURRENT_TEST" in os.environ:
    start(os.environ["PYTEST_CURRENT_TEST"])
