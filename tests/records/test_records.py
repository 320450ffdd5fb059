"""Records: what they hold, where they are written, and that they read back unchanged."""

import json

import numpy as np
import pytest
from conftest import make_result, metric

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import DatasetRecord, ResultStore, TaskRecord, Timing, read, read_all, record_path
from mlcd_eval.records.result import RequestRecord


def test_a_record_is_written_to_its_documented_path_and_reads_back(tmp_path):
    result = make_result(
        details={
            "lambda": np.float32(0.5),
            "trials": [np.int64(3)],
            "nan": float("nan"),
            "grid": np.array([[1, 2.5], [np.nan, 0]]),
        }
    )
    store = ResultStore(tmp_path)
    store.write(result)
    path = tmp_path / "tiny" / "zeroshot__demo.json"
    assert path == record_path(tmp_path, "tiny", "zeroshot/demo")
    assert read(path) == result
    assert result.details == {"lambda": 0.5, "trials": [3], "nan": None, "grid": [[1, 2.5], [None, 0]]}
    raw = json.loads(path.read_text())
    assert raw["metrics"][0]["value"] == 0.4525  # a fraction, not rounded
    assert raw["metrics"][1]["value"] is None
    assert result.primary.name == "acc1"
    assert [file.name for file in path.parent.iterdir()] == ["zeroshot__demo.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.5e300, 1.5e300])
def test_a_metric_is_finite_or_none(value):
    with pytest.raises(ValueError, match="undefined values are None"):
        Metric(name="acc1", value=value, num_scored=1)
    with pytest.raises(ValueError, match="undefined values are None"):
        Metric(name="acc1", value=0.5, num_scored=1, ci95=(0.0, value))


def test_the_request_key_depends_on_the_request_and_nothing_else():
    base = make_result()
    same = base.model_copy(
        update={
            "timing": Timing(started="2030-01-01T00:00:00+00:00", encode_s=9),
            "environment": {"python": "3.12"},
            "metrics": (),
            "status": "error",
        }
    )
    assert same.request_key() == base.request_key()
    changes = [
        {"seed": 1},
        {"limit": 10},
        {"task": base.task.model_copy(update={"version": 2})},
        {"task": base.task.model_copy(update={"settings": {"layer": "penultimate"}})},
        {"dataset": base.dataset.model_copy(update={"fingerprint": "e" * 64})},
        *[
            {"model": base.model.model_copy(update={field: "other"})}
            for field in ("fingerprint", "precision", "preprocessing")
        ],
    ]
    keys = {base.model_copy(update=change).request_key() for change in changes} | {base.request_key()}
    assert len(keys) == len(changes) + 1


def test_done_finds_only_the_successful_record_of_the_same_request(tmp_path):
    store, result = ResultStore(tmp_path), make_result()
    assert store.done(result) is None
    store.write(result)
    assert store.done(make_result(timing=Timing(started="later"))) == result
    assert store.done(make_result(seed=1)) is None
    assert store.done(result, with_samples=True) is None
    store.write_samples(result, {"key": ["a", "b"], "rank": np.array([1, 2])})
    assert store.done(result, with_samples=True) == result
    lines = store.samples_path(result).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"key": "a", "rank": 1}, {"key": "b", "rank": 2}]
    store.write(result.model_copy(update={"status": "error", "error": "x"}))
    assert store.done(result) is None
    store.path(result).write_text("{")
    assert store.done(result) is None  # a damaged record is recomputed


def test_a_failed_write_leaves_the_old_record(tmp_path, monkeypatch):
    store, result = ResultStore(tmp_path), make_result()
    store.write(result)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write(make_result(seed=1))
    assert read(store.path(result)) == result
    assert len(list(tmp_path.rglob("*"))) == 2  # the folder and the record


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a record: got .*, expected JSON"),
        ("[]", "got JSON without schema_version"),
        ('{"schema_version": 7}', "has schema_version 7, expected 1"),
        ('{"schema_version": 1}', "is not a valid record: task: Field required"),
    ],
)
def test_a_file_that_is_not_a_record_is_reported_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_all([tmp_path])
    assert "bad.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_with_nan_is_refused(tmp_path):
    raw = make_result().model_dump(mode="json")
    raw["metrics"][0]["value"] = float("nan")
    (tmp_path / "nan.json").write_text(json.dumps(raw))
    with pytest.raises(DataError, match=r"nan.json is not a valid record: metrics.0: .*holds nan: undefined .* None$"):
        read_all([tmp_path])


def test_reading_a_folder(tmp_path):
    with pytest.raises(DataError, match="no records at"):
        read_all([tmp_path])
    store = ResultStore(tmp_path)
    for result in (make_result("b"), make_result("a"), make_result("a", "knn/demo")):
        store.write(result)
        store.write_samples(result, {"key": ["x"]})
    (tmp_path / "a" / ".half.json.tmp").write_text("{")
    results = read_all([tmp_path])
    names = [(result.model.name, result.task.name) for result in results]
    assert names == [("a", "knn/demo"), ("a", "zeroshot/demo"), ("b", "zeroshot/demo")]
    assert read_all([tmp_path, tmp_path / "a"]) == results  # a record that is read twice counts once


def test_records_of_one_request_that_disagree_are_refused(tmp_path):
    ResultStore(tmp_path / "one").write(make_result())
    ResultStore(tmp_path / "two").write(make_result(metrics=[metric("acc1", 0.5)]))
    with pytest.raises(DataError, match="records of the same request and disagree"):
        read_all([tmp_path])


def test_the_record_of_a_failed_task_holds_the_reason(tmp_path, failed_result):
    store = ResultStore(tmp_path)
    store.write(failed_result)
    result = read(store.path(failed_result))
    assert (result.status, result.error, result.metrics, result.primary) == ("error", "split 'test' is empty", (), None)
    assert isinstance(result.dataset, DatasetRecord)


def test_a_record_in_one_line(failed_result):
    assert (
        str(make_result())
        == repr(make_result())
        == "<Result tiny zeroshot/demo: acc1 0.4525 [0.4000, 0.5012], n = 200>"
    )
    assert str(make_result(metrics=[metric("map", None)])) == "<Result tiny zeroshot/demo: map undefined, n = 200>"
    assert str(failed_result) == "<Result tiny zeroshot/demo: error: split 'test' is empty>"
    assert str(make_result(primary_metric="other")) == "<Result tiny zeroshot/demo: no metric>"


def test_files_of_a_record_are_laid_out_for_readers(tmp_path):
    """Two spaces a level in records, one in submissions, and letters as they are."""
    store, result = ResultStore(tmp_path), make_result(details={"word": "é"})
    store.write(result)
    lines = store.path(result).read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["{", '  "schema_version": 1,'] and '    "word": "é"' in lines
    path = store.write_submission(result, [{"id": 1, "answer": "é"}])
    assert path == tmp_path / "tiny" / "submissions" / "zeroshot__demo.json"
    assert path.read_text(encoding="utf-8") == '[\n {\n  "id": 1,\n  "answer": "é"\n }\n]\n'
    store.write_samples(result, {"key": ["é"]})
    assert store.samples_path(result).read_text(encoding="utf-8") == '{"key": "é"}\n'


def flipped(contents, at, bit):
    return contents[:at] + bytes([contents[at] ^ 1 << bit]) + contents[at + 1 :]


def test_no_flipped_bit_of_a_record_goes_unseen(tmp_path):
    """One bit of every byte: the file is refused, or holds the same values."""
    store, result = ResultStore(tmp_path), make_result()
    store.write(result)
    path = store.path(result)
    contents = path.read_bytes()
    refused = 0
    for at in range(len(contents)):
        path.write_bytes(flipped(contents, at, at % 8))
        try:
            assert read(path) == result
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 0.6 * len(contents)  # the rest is layout


def test_a_flipped_bit_in_a_value_is_named(tmp_path):
    store, result = ResultStore(tmp_path), make_result()
    store.write(result)
    path = store.path(result)
    text = path.read_text()
    path.write_text(text.replace("0.4525", "0.4527"))  # one bit
    with pytest.raises(DataError, match=r"zeroshot__demo.json is damaged or was edited: .* run its task again, or,"):
        read_all([tmp_path])
    assert store.done(result) is None  # it is computed again


def test_of_several_records_a_damaged_one_is_left_out_with_a_warning(tmp_path):
    store = ResultStore(tmp_path)
    for result in (make_result("a"), make_result("b")):
        store.write(result)
    path = store.path(make_result("b"))
    path.write_text(path.read_text().replace("0.4525", "0.4527"))
    with pytest.warns(UserWarning, match=r"left out: .*b/zeroshot__demo.json is damaged or was edited"):
        assert [result.model.name for result in read_all([tmp_path])] == ["a"]


def test_a_record_without_a_checksum_is_read(tmp_path):
    """Those of earlier versions, and those that were edited and accepted as the sentence says."""
    store, result = ResultStore(tmp_path), make_result()
    store.write(result)
    path = store.path(result)
    raw = json.loads(path.read_text())
    assert list(raw)[-1] == "checksum" and len(raw.pop("checksum")) == 64
    raw["metrics"][0]["value"] = 0.5
    raw["metrics"][0]["ci95"] = None
    path.write_text(json.dumps(raw))
    assert read(path).metrics[0].value == 0.5


def test_the_checksum_is_of_values_and_not_of_layout(tmp_path):
    store, result = ResultStore(tmp_path), make_result(details={"text": "é \udcff", "small": 1e-300, "whole": 1.0})
    store.write(result)
    path = store.path(result)
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(raw.items()))))
    assert read(path) == result


def test_half_a_character_in_a_key_is_escaped(tmp_path):
    half, escaped = {"theirs": {"\ud800": 1}, "\udcff": 2}, {"theirs": {"\\ud800": 1}, "\\udcff": 2}
    task = TaskRecord(name="zeroshot/demo", version=1, protocol="zeroshot", settings=half)
    request = RequestRecord(command="mlcd-eval run", dataset="wds:demo", options=half)
    store, result = ResultStore(tmp_path), make_result(details=half, environment=half, request=request)
    result = result.model_copy(update={"task": task})
    store.write(result)
    kept = read(store.path(result))
    assert kept.details == kept.environment == kept.task.settings == kept.request.options == escaped
