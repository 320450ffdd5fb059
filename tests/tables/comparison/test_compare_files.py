"""Records whose outcomes are missing, damaged or of another run, and folders that hold nothing to compare."""

import shutil

import numpy as np
import pytest
from compared_records import compared, right_or_wrong, write, write_accuracy
from conftest import make_result, metric

from mlcd_eval.errors import DataError
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.comparison.compare import compare
from mlcd_eval.tables.comparison.pairing import load_side
from mlcd_eval.tables.comparison.text import as_text


def write_logged(output, task, a, b):
    """As versions before outcomes did with --log-samples."""
    store = ResultStore(output)
    for model, correct in (("a", a), ("b", b)):
        result = store.write(make_result(model, task, [metric("acc1", float(np.mean(correct)))]))
        keys = [f"s{n}" for n in range(len(correct))]
        store.write_samples(result, {"key": keys, "rank": [1 if right else 2 for right in correct]})


def test_records_of_earlier_versions_are_paired_by_their_logged_samples(tmp_path, three_tasks):
    write_logged(tmp_path / "old", "zeroshot/won", *right_or_wrong(2, 20))
    assert compared(tmp_path / "old")[0]["zeroshot/won"].p == compared(three_tasks)[0]["zeroshot/won"].p
    mixed = compare(load_side(tmp_path / "old" / "a"), load_side(three_tasks / "b"))
    assert [(task.task, task.difference) for task in mixed.tasks] == [("zeroshot/won", pytest.approx(18 / 40))]


def test_a_damaged_file_of_outcomes_is_named_and_left_out(three_tasks):
    (path,) = (three_tasks / "b" / "outcomes").glob("zeroshot__won.*")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    tasks, comparison = compared(three_tasks)
    assert list(tasks) == ["knn/lost", "zeroshot/tied"]
    assert comparison.left_out["zeroshot/won"].startswith(f"{path} is damaged, or of another run than its record")
    assert f"{path} is damaged" in as_text(comparison)


def test_a_model_folder_moved_without_the_keys_is_told_so(three_tasks, tmp_path):
    moved = tmp_path / "elsewhere" / "a"
    moved.parent.mkdir()
    (three_tasks / "a").rename(moved)
    with pytest.raises(DataError, match=r"keys/\w+.json.gz, which a record names, cannot be read: got No such file"):
        compare(load_side(moved), load_side(three_tasks / "b"))
    shutil.copytree(three_tasks / "keys", moved.parent / "keys")
    assert len(compare(load_side(moved), load_side(three_tasks / "b")).tasks) == 3


def test_samples_of_another_run_are_refused(tmp_path):
    write_logged(tmp_path, "zeroshot/x", *right_or_wrong(2, 4))
    samples = tmp_path / "b/samples/zeroshot__x.jsonl"
    lines = samples.read_text().splitlines(keepends=True)

    samples.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=r"not scored on the same samples: got 24 and 23, .* being 's23' and None"):
        compared(tmp_path)
    samples.write_text("".join([lines[0].replace('"rank": 2', '"rank": 1'), *lines[1:]]))
    with pytest.raises(DataError, match=r"zeroshot__x.jsonl is not of its record: got acc1 0.62\d+, expected 0.58"):
        compared(tmp_path)
    samples.write_text("".join([lines[0].replace('"rank": 2', '"rank": null'), *lines[1:]]))
    with pytest.raises(DataError, match="zeroshot/x: samples of A or B are damaged: TypeError"):
        compared(tmp_path)
    samples.write_text("".join([*lines[:-1], '{"key": "s23"}']))
    with pytest.raises(DataError, match=r"does not hold samples: line 24 has other columns than line 1"):
        compared(tmp_path)
    samples.write_text("{")
    with pytest.raises(DataError, match=r"zeroshot__x.jsonl, line 1 is no JSON object: "):
        compared(tmp_path)
    samples.write_text("")
    with pytest.raises(DataError, match="does not hold samples: it is empty"):
        compared(tmp_path)


def test_nothing_to_compare_says_why(tmp_path):
    for model in ("a", "b"):
        write(tmp_path, model, "zeroshot/x", "acc1", 0.5, None)
    with pytest.raises(
        DataError, match="no task to compare: zeroshot/x: A's record, written by an earlier version, has"
    ):
        compared(tmp_path)


def test_a_folder_of_one_model_is_expected(tmp_path):
    write_accuracy(tmp_path, "zeroshot/x", *right_or_wrong(2, 4))
    with pytest.raises(DataError, match="holds no records: expected OUTPUT/MODEL"):
        load_side(tmp_path)
    (tmp_path / "a/other.json").write_text((tmp_path / "b/zeroshot__x.json").read_text())
    with pytest.raises(DataError, match="is not the folder of one model: got 2 records of 1 tasks by a, b"):
        load_side(tmp_path / "a")
