"""`mlcd-eval encode`: the stored features, bit by bit, with keys and labels, in each format."""

import json

import numpy as np
import pytest
from own_data import MODEL, items, write_wds
from tiny_encoder import TinyEncoder

from mlcd_eval import evaluate
from mlcd_eval.cli import main
from mlcd_eval.data import open_dataset
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.features.encode import EncodeOptions, encode_split, encode_texts
from mlcd_eval.running.encoding import EncodeRequest, encode
from mlcd_eval.support.bundled import demo_data_dir

CAPTIONS = f"wds:{demo_data_dir()}/wds_demo_captions"


@pytest.fixture
def data(tmp_path):
    return f"wds:{write_wds(tmp_path / 'wds_mine', {'train': items(20), 'test': items(10)})}"


def run(tmp_path, name, *more, dataset, model=MODEL):
    common = ["--model", model, "--dataset", dataset, "--cache", str(tmp_path / "cache"), "--workers", "0"]
    return main(["encode", *common, "--output", str(tmp_path / name), *more])


def stored(tmp_path, dataset, split, layer, limit=None):
    options = EncodeOptions(cache=tmp_path / "cache", limit=limit)
    return encode_split(load_encoder(MODEL), open_dataset(dataset).split(split), [layer], options).features[layer]


def test_npy_is_what_a_run_stored_and_nothing_is_encoded_again(tmp_path, data, capsys):
    evaluate(MODEL, ["knn"], datasets=[data], output=tmp_path / "out", cache=tmp_path / "cache", workers=0)
    TinyEncoder.images_seen = 0
    assert run(tmp_path, "f.npy", "--split", "train", dataset=data) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'f.npy'}: 20 x 192 float32, layer penultimate of ")
    assert TinyEncoder.images_seen == 0
    features = stored(tmp_path, data, "train", "penultimate")
    array = np.load(tmp_path / "f.npy", allow_pickle=False)
    assert array.dtype == np.float32 and array.tobytes() == features.array.tobytes()
    rows = json.loads((tmp_path / "f.rows.json").read_text())
    assert rows["keys"] == list(features.keys)
    assert rows["labels"] == features.labels.tolist() == [index % 2 for index in range(20)]
    assert (rows["about"]["layer"], rows["about"]["split"]) == ("penultimate", "train")
    assert rows["about"]["class_names"] == ["x", "y"]


def test_parquet_with_patches_in_row_groups(tmp_path, data, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("mlcd_eval.running.feature_file.ROWS", 7)
    assert run(tmp_path, "f.parquet", "--split", "train", "--layer", "patches", dataset=data) == 0
    features = stored(tmp_path, data, "train", "patches")
    table = parquet.read_table(tmp_path / "f.parquet")
    assert table["key"].to_pylist() == list(features.keys)
    assert table["label"].to_pylist() == features.labels.tolist()
    shape = json.loads(table.schema.metadata[b"mlcd_eval"])["shape"]
    assert shape == [4, 4, 12]
    values = np.array(table["features"].to_pylist(), dtype=np.float32).reshape(-1, *shape)
    assert values.tobytes() == features.array.tobytes()
    assert parquet.ParquetFile(tmp_path / "f.parquet").num_row_groups == 3


@pytest.mark.parametrize("name", ["f.parquet", "f.safetensors", "f.npy"])
def test_captions_and_their_features_belong_to_their_images(tmp_path, name, monkeypatch):
    monkeypatch.setattr("mlcd_eval.running.feature_file.ROWS", 4)
    options = ("--split", "test", "--layer", "projected", "--texts", "--limit", "10")
    assert run(tmp_path, name, *options, dataset=CAPTIONS) == 0
    images = stored(tmp_path, CAPTIONS, "test", "projected", limit=10)
    texts = [text for of_image in images.texts for text in of_image]
    expected = encode_texts(load_encoder(MODEL), texts, EncodeOptions(cache=tmp_path / "cache"))
    captions = [list(of_image) for of_image in images.texts]
    assert len(texts) > len(captions) == 10
    if name == "f.parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(tmp_path / name).to_pylist()
        assert [row["captions"] for row in rows] == captions
        assert "label" not in rows[0]
        got = [feature for row in rows for feature in row["caption_features"]]
        assert [len(row["caption_features"]) for row in rows] == list(map(len, captions))
    elif name == "f.safetensors":
        from safetensors import safe_open

        with safe_open(tmp_path / name, "numpy") as file:
            metadata = {key: json.loads(value) for key, value in file.metadata().items()}
            assert set(file.keys()) == {"features", "captions", "caption_rows"}
            assert file.get_tensor("features").tobytes() == images.array.tobytes()
            got = file.get_tensor("captions")
            of_row = file.get_tensor("caption_rows").tolist()
        assert (metadata["keys"], metadata["captions"]) == (list(images.keys), captions)
        assert [captions[row][0] in captions[row] and row for row in of_row] == of_row
        assert of_row == [row for row, of_image in enumerate(captions) for _ in of_image]
    else:
        got = np.load(tmp_path / "f.captions.npy")
        assert json.loads((tmp_path / "f.rows.json").read_text())["captions"] == captions
    assert np.array(got, dtype=np.float32).tobytes() == np.ascontiguousarray(expected).tobytes()


def test_a_file_that_cannot_be_finished_is_absent(tmp_path, data, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    request = EncodeRequest(
        model=MODEL, dataset=data, output=tmp_path / "new" / "f.safetensors", split="test", cache=tmp_path / "c"
    )
    with pytest.raises(OSError, match="No space"):
        encode(request)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "more", "model", "message"),
    [
        ("f.csv", (), MODEL, "expected a file that ends with .parquet, .npy, .safetensors"),
        ("f.npy", (), MODEL, "--split is missing: wds:"),
        ("f.npy", ("--split", "val"), MODEL, "val"),
        ("f.npy", ("--split", "test", "--layer", "projectd"), MODEL, "did you mean 'projected'?"),
        ("f.npy", ("--split", "test", "--texts"), "python:tiny_encoder:vision_only", "--texts needs a text tower"),
        ("f.npy", ("--split", "test", "--texts"), MODEL, "has no captions"),
    ],
)
def test_mistakes_in_one_sentence(tmp_path, data, capsys, name, more, model, message):
    assert run(tmp_path, name, *more, dataset=data, model=model) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("mlcd-eval: error: ") and message in error
    assert not list(tmp_path.glob("f.*"))
