"""The clock of a training's phases, the meter and the profile."""

import json
import re

import pytest
import torch
from training_runs import run

from mlcd_train import between_steps
from mlcd_train.cli import main
from mlcd_train.clock import PHASES, Clock
from mlcd_train.data.batches import Bad


def test_images_per_second_are_those_since_the_last_reading(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(between_steps.time, "perf_counter", lambda: now[0])
    meter, cpu = between_steps.Meter(), torch.device("cpu")
    for seconds, images, bad in ((2.0, 8, [Bad("too small", "a")]), (0.5, 4, [])):
        now[0] += seconds
        meter.add(images, bad)
    assert meter.read(cpu)["images_per_s"] == pytest.approx((8 + 4) / 2.5)
    now[0] += 4.0
    meter.add(2, [Bad("too small", "b"), *[Bad("undecodable", "c")] * 2])
    second = meter.read(cpu)
    assert second["images_per_s"] == pytest.approx(2 / 4) and second["bad_images"] == 4
    assert second["bad_images/too small"] == second["bad_images/undecodable"] == 2
    now[0] += 100.0
    meter.restart()
    now[0] += 2.0
    meter.add(6, [])
    assert meter.read(cpu)["images_per_s"] == pytest.approx(3)
    assert 0.01 < second["memory_gib"] < 1000


def test_the_clock_gives_each_phase_its_time(monkeypatch):
    """Two steps with centres within backward, as the hooks see them, and 50 s of evaluation that count nowhere."""
    now = [0.0]
    monkeypatch.setattr("mlcd_train.clock.time.perf_counter", lambda: now[0])
    clock = Clock(torch.device("cpu"))
    step = [("data", 1), ("forward", 2), ("centres", 3), ("backward", 4), ("centres", 5), ("backward", 6)]
    for phase, seconds in [*step, ("optimizer", 7), ("other", 50)] * 2:
        clock.enter(phase)
        now[0] += seconds
    clock.enter("data")
    expected = {"data": 1, "forward": 2, "backward": 10, "centres": 8, "optimizer": 7}
    assert clock.read() == {f"seconds/{phase}": seconds for phase, seconds in expected.items()}
    assert clock.shares() == "data 4%, forward 7%, backward 36%, centres 29%, optimizer 25%"
    assert set(clock.read().values()) == {0.0}


def test_on_a_gpu_the_clock_reads_events_that_are_over_and_waits_for_none(monkeypatch):
    """The device is two marks behind the host: a reading has what is over, the next one the rest."""
    events = []

    class Event:
        def __init__(self, enable_timing):
            events.append(self)

        def record(self):
            self.ms = 1000.0 * len(events) ** 2

        def query(self):
            return len(events) - events.index(self) > 2

        def elapsed_time(self, end):
            return end.ms - self.ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    clock = Clock(torch.device("cuda"))
    for phase in ("data", "forward", "backward", "optimizer", "other"):
        clock.enter(phase)
    # marks at 1, 4, 9, 16 and 25 s, of which the first three are over
    assert clock.read() == {f"seconds/{p}": s for p, s in zip(PHASES, (3.0, 5.0, 0.0, 0.0, 0.0), strict=True)}
    clock.enter("data")
    clock.enter("forward")
    assert clock.read() == {f"seconds/{p}": s for p, s in zip(PHASES, (0.0, 0.0, 7.0, 0.0, 9.0), strict=True)}


def test_the_phases_of_a_step(make_config, monkeypatch):
    """Centres come between the tower's forward and backward, both ways; then the next step's classes are drawn."""
    entered = []
    enter = Clock.enter
    monkeypatch.setattr(Clock, "enter", lambda clock, phase: entered.append(phase) or enter(clock, phase))
    run(make_config("fit.steps=2"))
    order = [phase for phase, before in zip(entered, [None, *entered], strict=False) if phase != before]
    towers = ("forward", "centres", "forward", "centres", "backward", "centres", "backward", "forward")
    update = ("optimizer", "centres", "optimizer", "other")
    assert order == ["data", "centres", *towers, "data", "centres", *update, *towers, "data", *update]


def test_a_profile_names_what_takes_most_time(make_config, capsys):
    make_config("fit.steps=6", objective="clip")
    command = ["run", str(make_config.path()), "--set", "fit.steps=6", "--profile", "3", "--log-to", "tensorboard"]
    assert main([*command, "--verbose"]) == 0
    fit = make_config.path().parent / "run" / "fit"
    lines = capsys.readouterr().err.splitlines()
    said = next(line for line in lines if "profile of" in line)
    assert re.search(
        r"fit clip_tiny: step 6: loss [\d.]+, [\d,]+ images/s \(data \d+%, forward \d+%, ", "\n".join(lines)
    )
    assert any(line.startswith("fit clip_tiny: time of its steps: data ") for line in lines)
    assert f"profile of 3 steps in {fit / 'profile.json'}; most time on the CPU: aten::" in said and "%" in said
    trace = json.loads((fit / "profile.json").read_text())["traceEvents"]
    assert sum(event["name"].startswith("ProfilerStep") for event in trace if event["ph"] == "X") == 3
    assert any(event["name"] == "aten::addmm" for event in trace)
    assert list((fit / "tensorboard").glob("events*"))
