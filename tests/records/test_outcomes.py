"""The outcomes of samples: what comes back, in how much room, and what a kill or damage leaves."""

import gzip
import hashlib
import json
import zipfile

import numpy as np
import pytest
from conftest import make_result, metric

from mlcd_eval.errors import DataError
from mlcd_eval.records import ResultStore, outcomes, packing, read, read_all, read_outcomes, store

SAMPLES = {
    "key": ["a", "b", "c"],
    "label": [0, 1, 1],
    "rank": [1, 2, 70_000],
    "correct": [1.0, 0.0, 1 / 3],
    "below": [-1, 5, -300],
    "flag": [True, False, True],
    "lists": [[3, 1], [], [2]],
    "trials": np.array([[1, 2], [3, 4], [5, 260]]),
    "contrast": [0.5, -1e9, 0.5],
    "intersection": [0, 2, 3],
    "union": [0, 5, 3],
    "iou": [1.0, 2 / 5, 1.0],
    "file": [1, 2, 3],  # a name that numpy's writer has for itself
    "answer": ["x", "y", "z"],
    "mask": [{"size": [1, 1]}] * 3,
    "answers": [["x"], [], ["y", "z"]],
}


def written(output, samples=SAMPLES, model="tiny", task="zeroshot/demo", **changes):
    results = ResultStore(output)
    result = results.write(make_result(model, task, **changes), samples)
    return results.path(result), result


def columns_of(path):
    return read_outcomes(path, read(path)).columns


def listed(columns):
    return {name: np.asarray(values, object).tolist() for name, values in columns.items()}


def test_numbers_come_back_as_they_were_and_texts_and_masks_do_not(tmp_path):
    path, result = written(tmp_path)
    assert read(path) == result and result.outcomes is not None
    expected = {name: SAMPLES[name] for name in SAMPLES if name not in ("answer", "mask", "answers")}
    expected |= {"contrast": [1, 0, 1], "trials": [[1, 2], [3, 4], [5, 260]]}  # of a contrast only the order
    columns = columns_of(path)
    assert listed(columns) == expected
    assert {columns[name].dtype.kind for name in ("rank", "below", "union")} == {"i"}
    assert {columns[name].dtype.kind for name in ("correct", "iou")} == {"f"} and columns["flag"].dtype == bool


def test_what_cannot_be_expected_is_kept_as_it_is(tmp_path):
    samples = {"key": [1, 2], "intersection": [1, 3], "union": [3, 7], "iou": [0.1, 3 / 7]}
    assert columns_of(written(tmp_path, samples)[0])["iou"].tolist() == [0.1, 3 / 7]
    alone = {"key": [1, 2], "iou": [0.1, 3 / 7]}
    assert columns_of(written(tmp_path, alone)[0])["iou"].tolist() == [0.1, 3 / 7]


def test_keys_are_kept_once_for_all_models_and_tasks_of_the_same_samples(tmp_path):
    for model in ("a", "b"):
        for task in ("zeroshot/demo", "knn/demo"):
            written(tmp_path, model=model, task=task)
    written(tmp_path, {**SAMPLES, "label": [0, 0, 1]}, task="knn/other")
    files = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert len(files) == 2 and len(list(tmp_path.glob("*/outcomes/*.npz"))) == 5
    assert sum(read_result.task.name == "zeroshot/demo" for read_result in read_all([tmp_path])) == 2


def test_units_of_a_metric_belong_to_the_keys(tmp_path):
    samples = {
        "key": [1, 2],
        "image": ["x", "y"],
        "direction": ["text_to_image"] * 2,
        "rank": [1, 3],
        "other": ["p"] * 2,
    }
    path, _ = written(tmp_path, samples, metrics=[metric("text_to_image_recall@1", 0.5)])
    (keys,) = (tmp_path / "keys").iterdir()
    assert json.loads(gzip.decompress(keys.read_bytes())) == {
        name: samples[name] for name in ("key", "image", "direction")
    }
    assert set(columns_of(path)) == {"key", "image", "direction", "rank"}


def imagenet(seed):
    """Ranks and predictions of 50,000 samples of 1,000 classes, three of four right, in any order."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 1000, 50_000)
    wrong = rng.random(50_000) < 0.25
    rank = np.where(wrong, 2 + rng.geometric(0.02, 50_000).clip(max=998), 1)
    prediction = np.where(wrong, rng.integers(0, 1000, 50_000), label)
    return {"rank": rank, "prediction": prediction, "correct": (rank == 1) * 1.0}


def overlaps(seed):
    rng = np.random.default_rng(seed)
    truth = np.exp(rng.normal(10, 0.9, 50_000)).clip(400, 300_000)
    intersection = (truth * rng.beta(6, 1, 50_000)).astype(int)
    union = (truth * (1 + rng.beta(1, 6, 50_000))).astype(int)
    return {"intersection": intersection, "union": union, "iou": intersection / union}


def answers(seed):
    """ANLS of two kinds, edits and lengths, as of 50,000 answers of up to 24 characters."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, 25, 50_000)
    edits = np.where(rng.random(50_000) < 0.5, 0, rng.poisson(3, 50_000))
    anls = np.where(edits / length < 0.5, 1 - edits / length, 0.0)
    return {"anls": anls, "anls_compat": anls, "edits": edits, "answer_length": length}


def recalls(seed):
    """Of retrieval among 25,000 captions and images, with the mean over three K."""
    rank = np.random.default_rng(seed).geometric(0.1, 50_000)
    return {"rank": rank, "mean_recall": np.mean([rank <= k for k in (1, 5, 10)], axis=0)}


def contrasts(seed):
    rng = np.random.default_rng(seed)
    rank = rng.integers(1, 3, 50_000)
    label = rng.integers(0, 2, 50_000)
    prediction = np.where(rank == 1, label, 1 - label)
    return {"prediction": prediction, "rank": rank, "correct": (rank == 1) * 1.0, "contrast": rng.normal(size=50_000)}


@pytest.mark.parametrize("columns", [imagenet, overlaps, answers, recalls, contrasts])
def test_a_sample_takes_at_most_four_bytes(columns):
    contents = packing.packed(columns(0))
    assert len(contents) <= 4 * 50_000 + 2_000  # and the names of arrays
    assert contents == packing.packed(columns(0)) != packing.packed(columns(1))


def test_a_run_that_is_killed_before_its_record_leaves_the_old_one_with_its_outcomes(tmp_path, monkeypatch):
    path, before = written(tmp_path)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            written(tmp_path, {**SAMPLES, "rank": [3, 3, 3]}, seed=1)
    assert read(path) == before and columns_of(path)["rank"].tolist() == [1, 2, 70_000]
    written(tmp_path, {**SAMPLES, "rank": [3, 3, 3]}, seed=1)
    assert columns_of(path)["rank"].tolist() == [3, 3, 3]
    assert len(list((tmp_path / "tiny" / "outcomes").iterdir())) == 1  # those of the record that was replaced are gone
    ResultStore(tmp_path).write(make_result(status="error", error="x"))
    assert not list((tmp_path / "tiny" / "outcomes").iterdir()) and read_outcomes(path, read(path)) is None


def test_a_record_without_its_outcomes_is_computed_again(tmp_path):
    path, result = written(tmp_path)
    assert ResultStore(tmp_path).done(make_result()) == result
    (tmp_path / "tiny" / "outcomes" / result.outcomes.file).unlink()
    assert ResultStore(tmp_path).done(make_result()) is None
    with pytest.raises(DataError, match=r"demo\.\w+\.npz, which a record names, cannot be read: got No such file"):
        read_outcomes(path, result)


@pytest.mark.parametrize("which", ["keys", "tiny/outcomes"])
def test_a_flipped_bit_is_named(tmp_path, which):
    path, result = written(tmp_path)
    (file,) = (tmp_path / which).iterdir()
    contents = file.read_bytes()
    file.write_bytes(contents[:-5] + bytes([contents[-5] ^ 1]) + contents[-4:])
    with pytest.raises(DataError, match=rf"{file.name} is damaged"):
        read_outcomes(path, result)
    written(tmp_path)  # the same content is written again
    assert columns_of(path)["key"] == ["a", "b", "c"]


def forged(tmp_path, contents, keys=b'{"key":["a"]}'):
    """A record that names these contents truly."""
    path, result = written(tmp_path)
    digest, of_keys = (hashlib.sha256(part).hexdigest() for part in (contents, keys))
    (tmp_path / "tiny" / "outcomes" / "x.npz").write_bytes(contents)
    (tmp_path / "keys" / f"{of_keys}.json.gz").write_bytes(gzip.compress(keys))
    return path, result.completed(outcomes={"file": "x.npz", "sha256": digest, "keys": of_keys})


def test_hostile_files_are_refused_in_a_sentence(tmp_path, monkeypatch):
    good = packing.packed({"rank": [1]})
    for contents, keys, message in [
        (b"PK", b'{"key":["a"]}', "does not hold outcomes of samples"),
        (good, b"[1]", "does not hold keys of samples: expected an object of lists"),
        (good, b"{", "does not hold keys of samples: got"),
        (good, b'{"key":["a","b"]}', "does not fit .* columns of different lengths"),
        (
            packing.packed({"iou": [1, 2]}).replace(b"iou values", b"iou beyond"),
            b'{"key":["a"]}',
            "does not hold outcom",
        ),
    ]:
        with pytest.raises(DataError, match=message):
            read_outcomes(*forged(tmp_path, contents, keys))
    other = tmp_path / "other.npz"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("rank values.npy", b"no array")
    with pytest.raises(DataError, match="does not hold outcomes of samples: ValueError a member of the archive is no"):
        read_outcomes(*forged(tmp_path, other.read_bytes()))
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rank values.npy", bytes(1_000_000))
    monkeypatch.setattr(packing, "LARGEST", 100_000)
    with pytest.raises(DataError, match="is too large: its arrays have 1,000,000 bytes"):
        read_outcomes(*forged(tmp_path, bomb.read_bytes()))
    with pytest.raises(ValueError, match="outcomes"):
        make_result(outcomes={"file": "../x.npz", "sha256": "0" * 64, "keys": "0" * 64})


def test_keys_that_inflate_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(b"[" * 20))
    monkeypatch.setattr(outcomes, "LARGEST", 20)
    assert outcomes._unzipped(path) == b"[" * 20
    monkeypatch.setattr(outcomes, "LARGEST", 19)
    with pytest.raises(DataError, match=r"json\.gz is too large, expected at most 19 bytes of keys"):
        outcomes._unzipped(path)


@pytest.mark.parametrize(
    ("array", "form"),
    [
        (np.zeros(1, np.uint8), r"\(1,\) uint8"),
        (np.array(1), r"\(\) int64"),
        (np.array(["x"]), r"\(1,\) <U1"),
    ],
)
def test_arrays_of_a_form_that_is_never_written(array, form):
    with pytest.raises(ValueError, match=f"^an array has the form {form}$"):
        packing._whole(array)


def test_a_name_of_any_length_fits(tmp_path):
    path, _ = written(tmp_path, task="zeroshot/" + "é" * 115)  # 240 bytes, of which .json leaves room for 250
    assert len(columns_of(path)["key"]) == 3


@pytest.mark.parametrize(("largest", "planes"), [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 3)])
def test_numbers_take_the_bytes_of_the_largest(largest, planes):
    small = packing._small(np.array([largest, 0]))
    assert small.shape == (planes, 2) and packing._whole(small).tolist() == [largest, 0]
