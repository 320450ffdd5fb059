"""Numbers over a part of the data say so in every output, and go to others only where the user says so."""

import json

import pytest
import yaml
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.errors import DataError
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.formats import ROWS, render
from mlcd_eval.tables.hub import push_to_hub
from mlcd_eval.tables.summary import summary

FOR_OTHERS = [name for name, row in ROWS.items() if row.for_others]


def partial(kind):
    """A record of a known task over a part of its data, and how outputs mark it."""
    result = make_result(metrics=[metric("acc1", 0.5, num_unscored=3 if kind == "not scored" else 0)])
    if kind == "limit":
        return result.model_copy(update={"limit": 40}), "limit 40"
    if kind == "not scored":
        return result, "not scored 3"
    data = result.dataset.model_copy(update={"expected_num_samples": 5000})
    return result.model_copy(update={"dataset": data}), "number of samples 200"


@pytest.mark.parametrize("kind", ["limit", "not scored", "subset"])
@pytest.mark.parametrize("form", ROWS)
def test_every_format_marks_what_is_partial(kind, form):
    result, mark = partial(kind)
    assert mark in render([result], form, allow_partial=True)
    assert mark not in render([make_result()], form)


@pytest.mark.parametrize("kind", ["limit", "not scored", "subset"])
def test_so_does_the_summary_of_a_run(kind):
    result, mark = partial(kind)
    assert f"zeroshot/demo [{mark}]" in summary([result])


def test_a_limited_record_is_not_also_one_of_another_size():
    result, _ = partial("subset")
    assert "[limit 40]" in summary([result.model_copy(update={"limit": 40})])


def test_what_goes_to_others():
    assert set(FOR_OTHERS) == {"pwc", "pwc-table", "pwc-submission", "model-index"}


@pytest.mark.parametrize("form", FOR_OTHERS)
def test_formats_for_others_refuse_limited_records(form, tmp_path, capsys):
    result, _ = partial("limit")
    ResultStore(tmp_path).write(result)
    assert main(["table", str(tmp_path), "--format", form]) == 2
    message = (
        f"--format {form} shows numbers to others: got 1 records of --limit, first zeroshot/demo of tiny over 40 sam"
    )
    assert message in capsys.readouterr().err
    assert main(["table", str(tmp_path), "--format", form, "--allow-partial"]) == 0
    assert "limit 40" in capsys.readouterr().out


def test_a_model_card_refuses_limited_records():
    result, _ = partial("limit")
    with pytest.raises(DataError, match="--push-to-hub shows numbers to others"):
        push_to_hub([result], "org/name", dry_run=True)
    assert "limit 40" in push_to_hub([result], "org/name", dry_run=True, allow_partial=True)


@pytest.mark.parametrize("kind", ["limit", "not scored", "subset"])
def test_eval_results(kind, tmp_path, capsys):
    result, mark = partial(kind)
    ResultStore(tmp_path / "runs").write(result)
    tasks = [{"id": "zeroshot/demo", "config": "default", "split": "test"}]
    about = {"name": "Demo", "description": "a test", "evaluation_framework": "mlcd-eval", "tasks": tasks}
    (tmp_path / "eval.yaml").write_text(yaml.safe_dump(about))
    command = ["submit", str(tmp_path / "runs"), "--to", "huggingface", "--output", str(tmp_path / "out")]
    command += ["--benchmark", f"org/demo={tmp_path}/eval.yaml"]
    assert main(command) == 2
    assert "not accepted: zeroshot/demo of tiny" in capsys.readouterr().err
    assert main([*command, "--allow-partial"]) == 0
    [file] = (tmp_path / "out" / ".eval_results").iterdir()
    assert f"partial: {mark}" in yaml.safe_load(file.read_text())[0]["notes"]


def test_a_receiver_that_cannot_mark_it(tmp_path, capsys):
    ResultStore(tmp_path).write(partial("limit")[0])
    assert main(["submit", str(tmp_path), "--to", "pwc-archive", "--allow-partial"]) == 2
    message = "--allow-partial goes with --to huggingface or model-index: got --to pwc-archive, which cannot mark"
    assert message in capsys.readouterr().err
    assert json.loads(render([make_result()], "pwc"))
