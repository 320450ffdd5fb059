"""Runs that would write one record with different requests see each other; dead ones are no obstacle."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import make_result

from mlcd_eval.errors import ConfigError
from mlcd_eval.records import RequestRecord, ResultStore, claim, read_all

HOLD = """
import sys, time
from pathlib import Path
from mlcd_eval.records.claim import claimed
with claimed(Path(sys.argv[1]), "other", "mlcd-eval run --limit 10"):
    print("claimed", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that claims the record that `make_result()` has."""
    path = ResultStore(tmp_path).path(make_result())
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "claimed\n"
    yield process
    process.kill()
    process.wait()


def leftovers(folder):
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_another_runs_claim_is_seen_before_any_work(tmp_path, other):
    with pytest.raises(ConfigError) as caught, ResultStore(tmp_path).claimed([make_result()]):
        pytest.fail("this work was for nothing")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/tiny/zeroshot__demo.json is being written by another run with a different")
    assert f"process {other.pid} on " in message and "(mlcd-eval run --limit 10): expected another --output" in message
    with ResultStore(tmp_path).claimed([make_result("another")]):  # a record of its own
        pass


def test_a_dead_run_claims_nothing(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert len(leftovers(tmp_path)) == 2  # what it could not remove
    with ResultStore(tmp_path).claimed([make_result()]):
        pass
    assert leftovers(tmp_path) == []


def test_runs_of_the_same_request_may_write_one_record(tmp_path):
    store, request = ResultStore(tmp_path), make_result()
    with store.claimed([request]), store.claimed([request]):
        assert len(leftovers(tmp_path)) == 4
        with pytest.raises(ConfigError), store.claimed([make_result(seed=1)]):
            pass
    assert leftovers(tmp_path) == []


def test_a_claim_names_the_command_that_made_it(tmp_path):
    request = make_result(request=RequestRecord(command="mlcd-eval run --seed 0", dataset="", options={}))
    with ResultStore(tmp_path).claimed([request]):
        (path,) = tmp_path.rglob("*.json")
        owner = json.loads(path.read_text())
    assert owner["process"] == os.getpid() and owner["command"] == "mlcd-eval run --seed 0"
    assert owner["since"].startswith(time.strftime("%Y-", time.gmtime()))


def test_a_claim_is_no_record(tmp_path):
    store = ResultStore(tmp_path)
    store.write(make_result("a"))
    with store.claimed([make_result("a")]):
        assert len(read_all([tmp_path])) == 1


def test_half_a_claim_of_a_killed_run_claims_nothing_and_goes(tmp_path):
    store = ResultStore(tmp_path)
    with store.claimed([make_result()]):
        (claim,) = tmp_path.glob("*/.*.claim.*.json")
        half = claim.read_text()[:20]
    claim.write_text(half)
    with store.claimed([make_result(seed=1)]):
        assert not claim.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_claim_that_was_removed_meanwhile_is_no_fault(tmp_path):
    with ResultStore(tmp_path).claimed([make_result()]):
        (path,) = tmp_path.rglob("*.json")
        path.unlink()
        (tmp_path / "tiny" / path.name.replace(path.suffix, "x.json")).write_text("{}")  # a process that has ended
        with ResultStore(tmp_path).claimed([make_result(seed=1)]):
            pass
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("text", [None, "{", "[1]"])
def test_a_claim_that_says_nothing_of_its_owner_is_no_obstacle(tmp_path, text):
    """The process that holds its lock is writing it, or has just given it up."""
    other = tmp_path / "x.json"
    if text is not None:
        other.write_text(text)
    assert claim._owner(other) is None
    other.write_text('{"request": "a"}')
    assert claim._owner(other) == {"request": "a"}


def test_long_names_that_begin_alike_are_different_records(tmp_path):
    """As are names with what a glob would take for a pattern."""
    names = [f"zeroshot/{'x' * 200}{end}" for end in ("a", "b")] + ["zeroshot/[ab]", "zeroshot/a"]
    with ResultStore(tmp_path).claimed([make_result(task=name) for name in names]):
        assert len(leftovers(tmp_path)) == 8
        match = r"/zeroshot__\[ab\]\.json is being written by another run"
        with (
            pytest.raises(ConfigError, match=match),
            ResultStore(tmp_path).claimed([make_result(task=names[2], seed=1)]),
        ):
            pass
    assert leftovers(tmp_path) == []
