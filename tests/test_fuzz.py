"""benchmarks/fuzz: what it counts as wrong, and a few inputs of every form for the readers that are fast."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from mlcd_eval.data.predictions import read_masks
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.segmentation import overlaps

FOLDER = Path(__file__).parents[1] / "benchmarks" / "fuzz"
NAMES = ("attack", "binaries", "forms", "reader", "texts", "values")


@pytest.fixture(scope="module")
def fuzz():
    """The modules of the benchmark, whose folder is no package."""
    sys.path.insert(0, str(FOLDER))
    environment = dict(os.environ)
    try:
        yield {name: __import__(name) for name in NAMES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in NAMES:
            sys.modules.pop(name, None)
        os.environ.clear()
        os.environ.update(environment)


def refuse(path):
    raise DataError(f"{path} is refused")


def crash(path):
    raise KeyError("a bug")


def nameless(path):
    raise DataError("it is refused")


def die(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def eat(path):
    return len(bytearray(3 << 30))


def wait(path):
    time.sleep(60)


def work(path):
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (len, "crashed"),
        (lambda path: None, "read"),
        (refuse, "refused"),
        (crash, "KeyError: 'a bug'"),
        (nameless, "a refusal that names no file: it is refused"),
        (die, "the process died by signal 11"),
        (eat, "MemoryError"),
        (wait, "TooLong: over 1 s by the clock"),
        (work, "TooLong: over 0.5 s of the processor"),
    ],
)
def test_what_is_wrong(tmp_path, fuzz, monkeypatch, read, outcome):
    monkeypatch.setattr(fuzz["attack"], "SECONDS", 0.5)
    monkeypatch.setattr(fuzz["attack"], "WAITING", 1 if read is wait else 60)
    path = tmp_path / "victim.json"
    path.write_text('{"a": 1}')

    def only_damaged(path):
        return read(path) if path.read_text() != '{"a": 1}' else None

    monkeypatch.setattr(fuzz["attack"], "input_of", lambda *_: b"damaged")
    reader = fuzz["reader"].Reader("victim", path, only_damaged)
    outcomes = fuzz["attack"].attack(reader, range(2), 0)
    assert path.read_text() == '{"a": 1}'
    if outcome in ("read", "refused"):
        assert (outcomes.counts, outcomes.wrong) == ({outcome: 2}, [])
    elif outcome != "crashed":
        assert outcomes.counts == {"wrong": 2}
        assert [outcome in line for line in outcomes.wrong] == [True, True], outcomes.wrong
    else:
        assert "TypeError" in outcomes.wrong[0]


def test_stored_files_must_give_the_same_again(tmp_path, fuzz, monkeypatch):
    path = tmp_path / "stored"
    path.write_bytes(b"kept")
    monkeypatch.setattr(fuzz["attack"], "input_of", lambda *_: b"damaged")
    for read, problem in (
        (lambda path: path.read_bytes(), "another result than before"),
        (lambda path: 7 if path.read_bytes() == b"kept" else refuse(path), "stored data refused"),
    ):
        reader = fuzz["reader"].Reader("stored", path, read, recovers=True)
        (line,) = fuzz["attack"].attack(reader, range(1), 0).wrong
        assert problem in line


def test_an_input_depends_on_its_number_alone(tmp_path, fuzz):
    path = tmp_path / "x.json"
    intact = b'{"a": [1, 2, {"b": "c"}]}'
    reader = fuzz["reader"].Reader("x", path, len)
    first = [fuzz["attack"].input_of(reader, intact, 0, number) for number in range(30)]
    again = [fuzz["attack"].input_of(reader, intact, 0, number) for number in reversed(range(30))]
    assert first == again[::-1]
    assert len(set(first)) > 20 and first != [fuzz["attack"].input_of(reader, intact, 1, n) for n in range(30)]


@pytest.mark.parametrize("seed", range(3))
def test_every_form_survives_every_content(fuzz, seed):
    """Damage is never an error of its own, whatever it is given."""
    rng = random.Random(seed)
    for form in (*fuzz["forms"].FORMS, "unknown"):
        for contents in (b"", b"{}", b"a,b\n1,2\n", rng.randbytes(600)):
            assert isinstance(fuzz["forms"].damaged(contents, form, rng), bytes)


def test_masks_that_c_code_would_misread(tmp_path, fuzz):
    """A quick part of what the benchmark does: codes and polygons for pycocotools in a process of its own."""
    from types import SimpleNamespace

    expression = SimpleNamespace(sent_id=1, ref_id=1, text="x", size=(6, 8))
    path = tmp_path / "masks.jsonl"
    path.write_text('{"sent_id": 1, "segmentation": {"size": [6, 8], "counts": [10, 5, 33]}}\n')

    def read(path):
        mask = read_masks(path, [expression])[1]
        return overlaps([mask], [mask])

    outcomes = fuzz["attack"].attack(fuzz["reader"].Reader("masks", path, read, "masks"), range(60), 0)
    assert outcomes.wrong == []
    assert outcomes.counts["refused"] > 20 and outcomes.counts["read"] > 3
