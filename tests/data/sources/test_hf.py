import io

import numpy as np
import pytest
from opened import samples
from PIL import Image as PILImage

from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import is_on_network
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import ConfigError, DataError

datasets = pytest.importorskip("datasets")
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Sequence, Value  # noqa: E402

PETS = ClassLabel(names=["cat", "sea_horse"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf_cache"))
    datasets.disable_progress_bars()


def pictures(count):
    return [PILImage.fromarray(np.full((4, 5, 3), number, dtype=np.uint8)) for number in range(count)]


def parquet(root, features, splits):
    """splits: {split: {column: values}}; the column `image` is added."""
    (root / "data").mkdir(parents=True)
    saved = DatasetDict()
    for split, columns in splits.items():
        columns = {"image": pictures(len(next(iter(columns.values())))), **columns}
        saved[split] = Dataset.from_dict(columns, features=Features({"image": Image(), **features}))
        saved[split].to_parquet(root / "data" / f"{split}-00000-of-00001.parquet")
    return saved


def test_classification(tmp_path):
    saved = parquet(
        tmp_path / "pets",
        {"label": PETS, "note": Value("string")},
        {"train": {"label": [0, 1, 1], "note": ["x"] * 3}, "validation": {"label": [1], "note": ["x"]}},
    )
    dataset = open_dataset(f"hf:{tmp_path}/pets", offline=True)
    assert (dataset.name, dataset.kind, dataset.splits) == ("pets", "classification", ("train", "val"))
    assert dataset.class_names == ("cat", "sea horse")
    read = samples(dataset, "train")
    assert [(sample.key, sample.label) for sample in read] == [("0", 0), ("1", 1), ("2", 1)]
    assert isinstance(read[2].image, bytes)
    assert decode(read[2].image, "2").tobytes() == saved["train"][2]["image"].tobytes()


def test_fingerprint_is_of_the_contents(tmp_path):
    columns = {"test": {"label": [0, 1]}}
    saved = parquet(tmp_path / "parquet", {"label": PETS}, columns)
    saved.save_to_disk(tmp_path / "saved")
    saved["test"].save_to_disk(tmp_path / "saved_alone")
    saved["test"].select([1, 0]).save_to_disk(tmp_path / "other")
    cache = tmp_path / "cache"

    def scan(name):
        return open_dataset(f"hf:{tmp_path}/{name}", cache=cache).split("test").scan()

    first = scan("parquet")
    assert first.num_samples == 2
    assert scan("saved") == scan("saved_alone") == scan("parquet") == first
    assert scan("other").fingerprint != first.fingerprint
    assert len(list((cache / "scans").iterdir())) == 4


def test_images_that_are_files(tmp_path, make):
    for name in ("cat/a.png", "sea_horse/b.png"):
        path = tmp_path / "folder" / "test" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(make.image())
    dataset = open_dataset(f"hf:{tmp_path}/folder", cache=tmp_path / "cache")
    assert dataset.class_names == ("cat", "sea horse")
    assert [sample.image for sample in samples(dataset, "test")] == [tmp_path / "folder/test/cat/a.png", path]
    first = dataset.split("test").scan()
    path.write_bytes(make.image((9, 9, 9)))  # datasets does not notice
    assert open_dataset(f"hf:{tmp_path}/folder", cache=tmp_path / "cache").split("test").scan() != first


def test_multilabel(tmp_path):
    parquet(tmp_path / "listed", {"tags": Sequence(PETS)}, {"test": {"tags": [[1], [], [0, 1]]}})
    dataset = open_dataset(f"hf:{tmp_path}/listed")
    assert dataset.kind == "multilabel"
    assert [sample.label for sample in samples(dataset, "test")] == [(0, 1), (0, 0), (1, 1)]
    parquet(tmp_path / "hot", {"labels": Sequence(Value("int8"))}, {"test": {"labels": [[0, 1, 0], [1, 1, 1]]}})
    dataset = open_dataset(f"hf:{tmp_path}/hot")
    assert (dataset.kind, dataset.class_names) == ("multilabel", None)
    assert [sample.label for sample in samples(dataset, "test")] == [(0, 1, 0), (1, 1, 1)]


def test_retrieval(tmp_path):
    parquet(
        tmp_path / "one", {"caption": Value("string"), "id": Value("int64")}, {"test": {"caption": ["a b"], "id": [7]}}
    )
    assert [sample.texts for sample in samples(open_dataset(f"hf:{tmp_path}/one"), "test")] == [("a b",)]
    parquet(
        tmp_path / "many", {"sentences": Sequence(Value("string"))}, {"test": {"sentences": [["a", " "], ["b", "c"]]}}
    )
    dataset = open_dataset(f"hf:{tmp_path}/many")
    assert (dataset.kind, dataset.class_names) == ("retrieval", None)
    assert [(sample.label, sample.texts) for sample in samples(dataset, "test")] == [(None, ("a",)), (None, ("b", "c"))]
    parquet(tmp_path / "none", {"text": Sequence(Value("string"))}, {"test": {"text": [["a"], []]}})
    with pytest.raises(DataError, match="row 1 of none test has no caption in column 'text'"):
        samples(open_dataset(f"hf:{tmp_path}/none"), "test")


def test_columns_of_choice(tmp_path):
    features = {"fine": PETS, "coarse": ClassLabel(names=["animal"]), "group": Value("int64"), "story": Value("string")}
    parquet(tmp_path / "x", features, {"test": {"fine": [1], "coarse": [0], "group": [5], "story": ["once"]}})
    with pytest.raises(
        ConfigError, match=r"of the kind label or text: got fine, coarse, choose one by \?label=COLUMN or \?text="
    ):
        open_dataset(f"hf:{tmp_path}/x")
    assert samples(open_dataset(f"hf:{tmp_path}/x?label=fine"), "test")[0].label == 1
    assert samples(open_dataset(f"hf:{tmp_path}/x?label=group"), "test")[0].label == 5
    assert samples(open_dataset(f"hf:{tmp_path}/x?text=story&image=image"), "test")[0].texts == ("once",)
    for options, message in {
        "label=fin": r"has no column 'fin' for label: got image, .*\(did you mean 'fine'\?\)",
        "label=fine&text=story": "is given both label and text",
        "image=fine": "column 'fine' of hf:.* holds no images",
        "text=fine": "column 'fine' of hf:.* holds neither labels nor captions",
        "label=story": "column 'story' of hf:.* holds neither labels nor captions",
    }.items():
        with pytest.raises(ConfigError, match=message):
            open_dataset(f"hf:{tmp_path}/x?{options}")


def test_no_label_and_no_image(tmp_path):
    parquet(tmp_path / "bare", {"id": Value("int64")}, {"test": {"id": [1]}})
    with pytest.raises(ConfigError, match="needs one column of the kind label or text: got none among image, id"):
        open_dataset(f"hf:{tmp_path}/bare")
    Dataset.from_dict({"label": [1]}).save_to_disk(tmp_path / "blind")
    with pytest.raises(ConfigError, match="needs one column of the kind image: got none among label"):
        open_dataset(f"hf:{tmp_path}/blind")


def test_an_empty_target_is_named(tmp_path):
    parquet(tmp_path / "x", {"text": Value("string")}, {"test": {"text": ["a", None]}})
    with pytest.raises(DataError, match="row 1 of x test has nothing in column 'text', expected a label or caption"):
        open_dataset(f"hf:{tmp_path}/x").split("test").scan()


def test_split_of_choice(tmp_path):
    parquet(
        tmp_path / "x",
        {"label": PETS},
        {"train": {"label": [0]}, "validation": {"label": [1]}, "extra": {"label": [1, 0]}},
    )
    dataset = open_dataset(f"hf:{tmp_path}/x?split_test=validation")
    assert dataset.splits == ("train", "test")  # what is tested is not tuned on as well
    assert samples(dataset, "test")[0].label == 1
    assert len(samples(open_dataset(f"hf:{tmp_path}/x?split_val=extra"), "val")) == 2
    with pytest.raises(DataError, match="x has no split 'val': got one of train, test"):
        dataset.split("val")
    with pytest.raises(
        ConfigError, match=r"has no split 'valid' for split_test: got one of .*did you mean 'validation'"
    ):
        open_dataset(f"hf:{tmp_path}/x?split_test=valid")
    parquet(tmp_path / "y", {"label": PETS}, {"extra": {"label": [0]}})
    with pytest.raises(DataError, match=r"has no train, validation or test: got extra, choose one by \?split_test="):
        open_dataset(f"hf:{tmp_path}/y")


def test_hidden_labels_and_missing_images(tmp_path):
    parquet(tmp_path / "hidden", {"label": PETS}, {"test": {"label": [0, -1]}})
    with pytest.raises(DataError, match="label of row 1 of hidden test is out of range: got -1, expected 0 to 1"):
        open_dataset(f"hf:{tmp_path}/hidden").split("test").scan()
    features = Features({"image": Image(), "label": Value("int64")})
    stream = io.BytesIO()
    pictures(1)[0].save(stream, "PNG")
    rows = {"image": [{"bytes": stream.getvalue(), "path": None}, None, None], "label": [0, 0, None]}
    saved = Dataset.from_dict(rows, features=features)
    for name, indices, message in (
        ("a", [0, 1], "row 1 of a test has no image"),
        ("b", [2, 0], "row 0 of b test has no image"),
    ):
        saved.select(indices).save_to_disk(tmp_path / name)
        with pytest.raises(DataError, match=message):
            open_dataset(f"hf:{tmp_path}/{name}").split("test").scan()


def test_not_there(tmp_path):
    with pytest.raises(
        DataError, match=r"there is no dataset folder .*/nowhere: expected a folder, or ORG/NAME of the hub"
    ):
        open_dataset(f"hf:{tmp_path}/nowhere")
    with pytest.raises(DataError, match=r"cannot open dataset hf:no/such: .*[Oo]ffline"):
        open_dataset("hf:no/such", offline=True)
    parquet(tmp_path / "x", {"label": PETS}, {"test": {"label": [0]}})
    with pytest.raises(DataError, match=r"cannot open dataset hf:.*'other' not found"):
        open_dataset(f"hf:{tmp_path}/x?config=other")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"hf:a/b needs the package datasets, `pip install 'mlcd-eval\[datasets\]'`"):
        open_dataset("hf:a/b")


def test_a_local_file_never_asks_the_hub(tmp_path, monkeypatch):
    saved = parquet(tmp_path / "pets", {"label": PETS}, {"test": {"label": [0, 1]}})
    file = tmp_path / "pets" / "data" / "test-00000-of-00001.parquet"
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    dataset = open_dataset(f"hf:{file}")
    assert (dataset.splits, dataset.class_names) == (("test",), ("cat", "sea horse"))
    assert [sample.label for sample in samples(dataset, "test")] == saved["test"]["label"]
    monkeypatch.chdir(tmp_path)
    for missing in ("data/pets.parquet", "data/pets.csv", "pets.parquet"):
        with pytest.raises(DataError, match=f"^hf:{missing} is no Parquet file on this machine: expected one"):
            open_dataset(f"hf:{missing}")
        assert not is_on_network(f"hf:{missing}")
