"""Groups that kill their workers, and what is remembered of them."""

import pickle

import pytest

from mlcd_eval.errors import CheckpointError, UserError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.request import RunRequest
from mlcd_eval.running.executors.attempts import DEATHS, Attempt, GroupFolder
from mlcd_eval.running.executors.base import Group, GroupExecutor, WorkerBug, WorkerError
from mlcd_eval.support.progress import Progress


class Killed(BaseException):
    """In place of a signal: no `finally` runs."""


@pytest.fixture
def group(tmp_path):
    request = RunRequest(models=("python:tiny_encoder:make",), tasks=("knn/demo_clipart",), output="out")
    return Group("m on d", request, ("knn/demo_clipart",), tmp_path, 1)


def test_a_group_is_refused_after_four_deaths_whatever_their_cause(group, monkeypatch):
    calls = []
    monkeypatch.setattr(Group, "__call__", lambda self: calls.append(1) or [])
    assert Attempt(group)() == [] and GroupFolder.of(group).deaths == 0
    for number in range(DEATHS):
        (GroupFolder.of(group).path / f"{number}.start").touch()  # what a worker leaves that is killed
    outcome = Attempt(group)()
    assert isinstance(outcome, WorkerError) and str(outcome) == "m on d: 4 workers died doing it"
    assert len(calls) == 1
    GroupFolder.of(group).clear()
    assert Attempt(group)() == []


def test_only_a_death_counts(group, monkeypatch):
    def stopped(self):
        assert GroupFolder.of(self).deaths == 1  # while it runs
        raise SystemExit

    monkeypatch.setattr(Group, "__call__", stopped)
    with pytest.raises(SystemExit):
        Attempt(group)()
    assert GroupFolder.of(group).deaths == 0


def test_a_job_is_remembered_by_the_same_command_only(group):
    folder = GroupFolder.of(group)
    assert folder.job() is None
    folder.write_job({"id": "12_3", "comment": "c"})
    again = Group("other title", group.request, group.tasks, group.folder, 4)
    assert GroupFolder.of(again).job() == {"id": "12_3", "comment": "c"}
    seeded = group.request.model_copy(update={"seed": 1})
    assert GroupFolder.of(Group("m", seeded, group.tasks, group.folder, 1)).job() is None
    (folder.path / "job.json").write_text('{"id": ')
    assert folder.job() is None


def test_a_bug_in_a_group_keeps_its_traceback_on_its_way_back(group, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug of the model")

    monkeypatch.setattr("mlcd_eval.running.executors.base.make_plan", broken)
    outcome = pickle.loads(pickle.dumps(group()))
    assert isinstance(outcome, WorkerBug)
    assert str(outcome).startswith("m on d:\nTraceback") and "ZeroDivisionError: a bug of the model" in str(outcome)


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([CheckpointError("a damaged file"), WorkerError("two died")], UserError),
        ([CheckpointError("a damaged file"), WorkerBug("a bug"), OSError(28, "No space left")], WorkerBug),
    ],
)
def test_each_groups_sentence_is_shown(tmp_path, errors, kind):
    class Fails(GroupExecutor):
        def outcomes(self, groups, say):
            yield from enumerate(errors)

    request = RunRequest(
        models=tuple(f"m{number}=python:tiny_encoder:make" for number in range(3)),
        tasks=("knn/demo_clipart",),
        output=tmp_path,
    )
    with pytest.raises(kind) as caught:
        Fails().execute(make_plan(request), Progress())
    assert str(caught.value).splitlines() == [str(error) for error in errors]
