"""What a long job shows: an estimate, a line at intervals without a terminal, nested stages, nothing when quiet."""

import re
import time

import pytest

from mlcd_eval.support import progress as module
from mlcd_eval.support.progress import ConsoleProgress, Progress, duration, make_progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when it is set."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_the_estimate_counts_only_work_done_since_the_first_advance(clock):
    stage = module._StageState("fits", 16, "fits")
    assert stage.report() == "fits: 0 of 16 fits after 0 s"
    clock.now = 10
    stage.advance(4)  # found done, or slow to start: no rate yet
    assert stage.left() == ""
    clock.now = 30
    stage.advance(2)  # 2 in 20 s, so that the other 10 need 100 s
    assert stage.left() == ", about 2 min left"
    assert stage.report() == "fits: 6 of 16 fits after 30 s, about 2 min left"
    assert stage.pace() == "0.2 fits/s, about 2 min left"
    clock.now = 60
    stage.advance(10)
    assert stage.report() == "fits: 16 of 16 fits after 60 s, about 0 s left"
    assert stage.summary() == "fits: 16 fits in 60.0 s (0.27 fits/s)"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_durations_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_without_a_terminal_a_line_at_each_interval_about_the_innermost_stage(capsys):
    progress = ConsoleProgress(interval=0.02)
    with progress.stage("outer", None, "", lasting=False), progress.stage("inner", 3, "fits", lasting=False) as advance:
        advance(1)
        time.sleep(0.15)
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("inner: 1 of 3 fits after 0 s") >= 2
    within = lines[[line.startswith("inner") for line in lines].index(True) :]
    assert not [line for line in within if line.startswith("outer")]
    assert re.fullmatch(r"inner: 1 fits in 0\.\d s \(\d+ fits/s\)|inner: 1 fits .*", lines[-1])  # it took long enough
    time.sleep(0.06)
    assert capsys.readouterr().err == ""  # nothing after the last stage


def test_a_short_stage_leaves_a_line_only_if_it_is_lasting_or_verbose(capsys):
    for verbose, expected in ((False, ["images"]), (True, ["images", "scoring"])):
        progress = ConsoleProgress(verbose=verbose)
        for title, lasting in (("images", True), ("scoring", False), ("nothing done", True)):
            with progress.stage(title, 2, "units", lasting=lasting) as advance:
                advance(2 if title != "nothing done" else 0)
        assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == expected


def test_quiet_progress_shows_nothing(capsys):
    progress = make_progress("quiet")
    assert type(progress) is Progress
    progress.say("a line")
    with progress.stage("stage", 1, "units") as advance:
        advance(1)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_stages_may_be_nested_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    progress = ConsoleProgress()
    with progress.stage("outer", 2, "units") as outer, progress.stage("inner", 1, "units") as inner:
        inner(1)
        outer(2)
    assert "outer: 2 units" in capsys.readouterr().err
