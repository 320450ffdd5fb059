"""Commands in children of a process that has imported the slow libraries, none of this project's: an import of torch,
open_clip and timm takes some seconds, and pages and examples run a hundred commands.

`start()` starts that process once and returns the words that run a Python command by it, as
`[sys.executable, "-m", "mlcd_eval", "ls"]` would: `[*start(), "-m", "mlcd_eval", "ls"]`, or a script's path. The client
(this file as a program) hands over its directory, environment and standard streams, passes signals on, and ends with
the child's exit code.
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = ("torch", "torchvision", "open_clip", "transformers", "timm", "sklearn.linear_model", "pandas")
LARGEST = 1 << 20
"""Bytes of a request: an environment and an argument list are below it."""


@functools.cache
def start() -> tuple[str, ...]:
    """Start the server of this process, which ends with it, and return the words of its client."""
    folder = tempfile.TemporaryDirectory(prefix="forked_")
    address = Path(folder.name) / "socket"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, __file__, "--serve", str(address)]
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert server.stdout.readline() == b"ready\n"

    def stop():
        server.stdin.close()
        server.wait()
        folder.cleanup()

    atexit.register(stop)
    return (sys.executable, "-S", "-E", __file__, str(address))


def serve(address: str) -> None:
    """Fork a child for each request, until standard input is closed."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the client is told by its child
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                answer(client)
            client.close()


def answer(client: socket.socket) -> None:
    """Be the command that the client asks for, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, streams, _, _ = socket.recv_fds(client, LARGEST, 3)
    request = json.loads(message)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    paths = [path for path in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*paths, *(path for path in sys.path if path != str(Path(__file__).parent))]
    client.sendall(b"%d\n" % os.getpid())
    code = run(request["words"])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        client.sendall(b"%d\n" % code)
    os._exit(code)


def run(words: list[str]) -> int:
    """Run `-m MODULE ...` or `SCRIPT ...`; return its exit code."""
    module, words = (words[1], words[1:]) if words[0] == "-m" else (None, words)
    sys.argv[:] = words
    try:
        if module is None:
            sys.path.insert(0, str(Path(words[0]).parent))
            runpy.run_path(words[0], run_name="__main__")
        else:
            sys.path.insert(0, "")
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def ask(address: str, words: list[str]) -> int:
    """Have a command run; return its exit code, 137 where it was killed."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        request = {"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
        with server.makefile() as answers:
            child = int(answers.readline())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda number, _: os.kill(child, number))
            return int(answers.readline() or 137)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
