"""A job is resolved once, and everything else reads it."""

from collections import Counter

import pytest
from own_data import MODEL, items, write_wds

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.planning import job as job_module
from mlcd_eval.planning import select
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.protocols import registry
from mlcd_eval.request import RunRequest
from mlcd_eval.running.run import run
from mlcd_eval.support.bundled import demo_data_dir


def request(tmp_path, **changes):
    fields = {"models": (MODEL,), "tasks": ("[!a]*/demo_c*",), "output": tmp_path / "out", "cache": tmp_path / "cache"}
    return RunRequest(**{**fields, "workers": 0, "limit": 20, **changes})


def test_a_run_of_five_tasks_opens_each_data_set_once_and_looks_each_protocol_up_once(tmp_path, monkeypatch):
    calls = Counter()

    def counted(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: (calls.update([name]), real(*a, **k))[1])

    counted(select, "open_dataset")
    counted(select, "resolved")
    counted(job_module, "get_protocol")
    results = list(run(make_plan(request(tmp_path))))
    assert [result.status for result in results] == ["ok"] * 5
    assert calls == {"open_dataset": 2, "resolved": 5, "get_protocol": 5}  # clip art and captions


def test_a_job_holds_its_requests_splits_and_prompts(tmp_path):
    plan = make_plan(request(tmp_path, tasks=("linear_probe/demo_clipart", "zeroshot/demo_clipart", "docvqa/demo")))
    probe, zeroshot, docvqa = plan.open()
    assert {role: image.split for role, image in probe.requests.items()} == {"train": "train", "test": "test"}
    assert list(probe.splits.items()) == [("train", "train"), ("test", "test")]
    assert probe.prompts is None
    assert zeroshot.prompts is not None and zeroshot.prompts.class_names == zeroshot.dataset.class_names
    assert docvqa.requests == {} and docvqa.scored_split == "val"  # mode auto: undecided until the model is known
    decided = docvqa.with_settings(docvqa.settings.model_copy(update={"mode": "probe"}))
    assert decided.dataset is docvqa.dataset
    assert {role: image.letterbox for role, image in decided.requests.items()} == {"rendered": True, "test": True}


def test_a_protocol_refuses_data_of_another_kind(tmp_path):
    pages = demo_data_dir() / "docdemo" / "val_v1.0_withQT.json"
    plan = make_plan(request(tmp_path, tasks=("knn",), datasets=(f"docvqa:{pages}",)))
    assert plan.problems == ["knn/docdemo_val cannot use the docvqa dataset: expected classification"]
    with pytest.raises(DataError, match="cannot use the docvqa dataset"):
        plan.open()


def test_a_task_with_the_wrong_number_of_class_names_is_refused(tmp_path):
    data = write_wds(tmp_path / "wds_mnist", {"test": items(4)}, names=("x", "y", "z"))
    plan = make_plan(request(tmp_path, tasks=("zeroshot/mnist",), data_root=data.parent))
    assert plan.problems == [
        "zeroshot/mnist needs one class name per class: got 3 names (class names: folder; templates: folder), "
        "expected 10"
    ]


def test_changed_settings_leave_the_first_job_alone(tmp_path):
    plan = make_plan(request(tmp_path, tasks=("refcoco/demo",)))
    [job] = plan.open()
    zeroshot = job.with_settings(job.settings.model_copy(update={"mode": "zeroshot"}))
    assert {image.layer for image in zeroshot.requests.values()} == {"projected_patches"}
    assert {image.layer for image in job.requests.values()} == {"patches"}
    with pytest.raises(IncompatibleError, match="reads the split 'testC'"):
        job.with_settings(job.settings.model_copy(update={"split": "testC"}))


def test_every_protocol_has_a_version():
    assert all(registry.get_protocol(name).version >= 1 for name in registry.PROTOCOLS)
