import csv
import json

import pytest

from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.spec import TaskIndex


def table(folder, rows, columns=("candidates", "cue", "associations", "ID")):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "winogavil_dataset.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return folder / "winogavil_dataset.csv"


BOARD = json.dumps(["eagle", "teepee", "factory", "metal", "ash tree"])


def test_its_own_table_is_read(tmp_path, make):
    rows = [[BOARD, "bald", '["eagle", "ash tree"]', 0], [BOARD, "plush", '["teepee"]', 7]]
    path = table(tmp_path / "winogavil", rows)
    (path.parent / "images").mkdir()
    for name in json.loads(BOARD):
        (path.parent / "images" / f"{name}.jpg").write_bytes(make.image(kind="JPEG"))
    facts = TaskIndex.load().datasets["winogavil"]
    ref = find_dataset(tmp_path, facts)
    assert ref == f"winogavil:{path}" and discover(tmp_path) == []
    dataset = open_dataset(ref)
    assert (dataset.kind, dataset.splits) == ("associations", ("test",))
    bald, plush = dataset.annotations("test")
    assert (bald.association_id, bald.text, bald.chosen) == ("0", "bald", (True, False, False, False, True))
    assert plush.association_id == "7" and plush.images == bald.images
    assert bald.images[0] == "eagle.jpg" and bald.images[4] == "ash tree.jpg"
    keys = [sample.key for each in dataset.split("test").shards for sample in each.samples()]
    assert keys == list(bald.images) and dataset.split("test").scan().num_samples == 5
    with pytest.raises(DataError, match="has no split 'train': got one of test"):
        dataset.annotations("train")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([BOARD, "bald", '["owl"]', 0], "1 associations and 5 candidates without 'owl'"),
        ([BOARD, " ", '["eagle"]', 0], "is no choice: got the cue ''"),
        ([BOARD, "bald", "[]", 0], "0 associations"),
        ([BOARD, "bald", BOARD, 0], "5 associations and 5 candidates, expected a cue and some of several"),
        (['["a", "a", "b"]', "x", '["b"]', 0], "is no choice"),
        (["['a']", "x", '["b"]', 0], "candidates in row 1 of .* is no JSON list of names"),
        (['["a", 1]', "x", '["a"]', 0], "Input should be a valid string"),
        (['["../../x", "b"]', "x", '["b"]', 0], "outside"),
    ],
)
def test_what_is_no_choice_is_one_sentence(tmp_path, row, said):
    with pytest.raises(DataError, match=said):
        open_dataset(f"winogavil:{table(tmp_path, [row])}")


def test_a_table_of_something_else_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="lacks the columns associations: got candidates, cue"):
        open_dataset(f"winogavil:{table(tmp_path, [], ('candidates', 'cue'))}")
    with pytest.raises(DataError, match="has no cues"):
        open_dataset(f"winogavil:{table(tmp_path, [])}")
