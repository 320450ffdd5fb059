"""Damaged files given to a reader in a child process with limits on time and memory; the child's death is a failure."""

import collections
import faulthandler
import json
import logging
import os
import random
import resource
import select
import signal
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

from forms import damaged
from reader import Reader

from mlcd_eval.errors import UserError

SECONDS = 60
"""The longest that an input may take, of the processor: a busy machine changes nothing."""
WAITING = 600
"""The longest that it may take by the clock, of a reader that waits."""
MEMORY = 2 << 30
"""Bytes that an input may need beside what the process has."""
LONGEST_MESSAGE = 8_000
"""Characters of a refusal, which may quote names of 5,000 that are in the file."""


class TooLong(BaseException):
    """The time limit. It is not an Exception, so that no reader blames the file for it."""


@dataclass
class Outcomes:
    """Counts by outcome, and a line for each input that was handled wrongly. slowest: an input's seconds of the
    processor."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, reader: Reader, number: int, outcome: str, problem: str) -> None:
        """Count one input."""
        self.counts["wrong" if problem else outcome] += 1
        if problem:
            self.wrong.append(f"{reader.name} input {number}: {problem[:300]}")


def input_of(reader: Reader, intact: bytes, seed: int, number: int) -> bytes:
    """The contents of one input, which depend on nothing else."""
    rng = random.Random(f"{seed} {reader.name} {number}")
    return damaged(intact, reader.form or reader.path.suffix[1:].lower(), rng)


def attack(reader: Reader, inputs: range, seed: int) -> Outcomes:
    """Give a reader all inputs. A child that dies or hangs is replaced by another, which goes on behind that input."""
    intact, outcomes = reader.path.read_bytes(), Outcomes()
    number = inputs.start
    while number < inputs.stop:
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            _child(reader, intact, range(number, inputs.stop), seed, send)
        os.close(send)
        number = _follow(reader, receive, child, number, outcomes)
        reader.path.write_bytes(intact)
    return outcomes


def _follow(reader: Reader, receive: int, child: int, number: int, outcomes: Outcomes) -> int:
    """Read what a child says until it ends; return the number of the next input."""
    buffer, hung = b"", False
    while True:
        ready, _, _ = select.select([receive], [], [], WAITING + SECONDS)
        if not ready:
            os.kill(child, signal.SIGKILL)
            hung = True
        block = os.read(receive, 1 << 16)
        if not block:
            break
        *lines, buffer = (buffer + block).split(b"\n")
        for line in lines:
            at, seconds, outcome, problem = json.loads(line)
            outcomes.add(reader, at, outcome, problem)
            outcomes.slowest = max(outcomes.slowest, seconds)
            number = at + 1
    os.close(receive)
    _, status = os.waitpid(child, 0)
    if status:
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
        outcomes.add(reader, number, "died", "it hangs in C code" if hung else f"the process died by {how}")
        return number + 1
    return number


def _child(reader: Reader, intact: bytes, numbers: range, seed: int, send: int) -> None:
    """Read all inputs, say how that went, and end without what the parent registered for its exit. Never returns."""
    code = 1
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1), os.dup2(devnull, 2)  # C libraries write there
        warnings.simplefilter("ignore")
        logging.disable()
        for limit in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(limit, _stop)
        faulthandler.disable()
        expected = reader.read(reader.path)  # a file that is refused before it is damaged would test nothing
        for number in numbers:
            _limit_memory()
            reader.path.write_bytes(input_of(reader, intact, seed, number))
            began = time.process_time()
            outcome, problem = _judged(reader, expected)
            line = json.dumps([number, round(time.process_time() - began, 2), outcome, problem])
            os.write(send, line.encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123 a file of the kernel
        pages = int(file.read().split()[5])  # data and stack
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


def _stop(number: int, _: object) -> None:
    raise TooLong(
        f"over {SECONDS} s of the processor" if number == signal.SIGPROF else f"over {WAITING} s by the clock"
    )


def _judged(reader: Reader, expected: Any) -> tuple[str, str]:
    """(outcome, problem). Right is an answer, or one sentence of a UserError that names the file."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAITING)
    try:
        result = reader.read(reader.path)
        return "read", "another result than before" if reader.recovers and result != expected else ""
    except UserError as error:
        message = str(error)
        if reader.recovers:
            return "refused", f"stored data refused: {message}"
        if not reader.is_named_in(message):
            return "refused", f"a refusal that names no file: {message}"
        too_long = len(message) > LONGEST_MESSAGE
        return "refused", f"a refusal of {len(message)} characters: {message}" if too_long else ""
    except BaseException as error:  # a panic of Rust code is no Exception
        return "crashed", f"{type(error).__name__}: {error}" + _where(error)
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _where(error: BaseException) -> str:
    """The last lines of ours and of all in the traceback."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return f" [{' < '.join(reversed(frames[-5:]))}]"
