"""Labels without clusters: of a file in three forms, of the words and tokens of captions; objectives train on them."""

import json

import pytest
import torch
from pairs import COLOURS
from two_ranks import on_two_ranks

from mlcd_eval.errors import ConfigError, DataError, UserError
from mlcd_eval.support.distributed import barrier
from mlcd_eval.support.progress import Progress
from mlcd_train.cli import main
from mlcd_train.data.source import open_training_data
from mlcd_train.label_file import read_label_file
from mlcd_train.labels import LabelFiles
from mlcd_train.own_labels import label_by_names
from mlcd_train.runlog import read_log
from mlcd_train.sections import AssignConfig, DataConfig
from mlcd_train.stages import TrainingRun

KEYS = [f"s{number:03d}" for number in range(40)]
OWN = ("embed=null", "cluster=null")


def write_csv(path, rows):
    path.write_text("key,labels\n" + "".join(f"{key},{labels}\n" for key, labels in rows))
    return path


def labelled(tmp_path, pairs, labels, **settings):
    split = open_training_data(DataConfig(train=f"wds:{pairs}"), None, captions=labels in ("words", "tokens"))
    said = []
    progress = Progress()
    progress.say = said.append
    label_by_names(tmp_path / "labels", split, AssignConfig(labels=labels, **settings), progress)
    barrier()
    files = LabelFiles(tmp_path / "labels", split.scan().fingerprint)
    vocabulary = json.loads((tmp_path / "labels" / "vocabulary.json").read_text())
    return files, vocabulary, said


def test_a_file_of_names(pairs, tmp_path):
    """Classes by falling frequency, then by name; unknown keys and images without labels are counted."""
    rows = [(key, "ball;red" if number % 2 else "ball") for number, key in enumerate(KEYS[:30])]
    path = write_csv(tmp_path / "own.csv", [*rows, ("elsewhere", "cube"), (KEYS[39], "")])
    files, vocabulary, said = labelled(tmp_path, pairs, path)
    assert vocabulary == {"names": ["ball", "red"], "images": [30, 15]}
    assert files.classes_of([KEYS[1], KEYS[2], KEYS[35], KEYS[39]]).tolist() == [[0, 1], [0, -1], [-1, -1], [-1, -1]]
    assert files.counts().tolist() == [30, 15] and files.info.num_classes == 2
    assert said == [
        f"assign: 1 of 32 keys of {path} (3.1%) are of no training image",
        "assign: 1.1 labels per image of 2 classes; 10 of 40 images have none",
    ]


def test_a_file_without_a_label_of_an_image(pairs, tmp_path):
    path = write_csv(tmp_path / "own.csv", [(KEYS[0], ""), ("elsewhere", "cube")])
    with pytest.raises(DataError, match=r"^assign\.labels: .*own\.csv has no label of an image of "):
        labelled(tmp_path, pairs, path)


def test_numbers_are_classes_themselves(pairs, tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [{"key": key, "labels": [5, number % 3]} for number, key in enumerate(KEYS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    files, _, _ = labelled(tmp_path, pairs, path)
    with pytest.raises(ConfigError, match=r"vocabulary: got 2, expected none, since all labels of .*own.jsonl are num"):
        labelled(tmp_path, pairs, path, vocabulary=2)
    assert files.info.num_classes == 6 and files.classes_of(KEYS[:2]).tolist() == [[5, 0], [5, 1]]


def test_parquet_has_lists(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "own.parquet"
    parquet.write_table(pa.table({"key": ["a", "b", "c"], "labels": [["x", "y"], [], None]}), path)
    assert read_label_file(path) == {"a": ("x", "y"), "b": (), "c": ()}


def test_words_of_captions(pairs, tmp_path):
    """`a red thing` and `some red`: three words that all have, and a colour that every fourth has."""
    files, vocabulary, _ = labelled(tmp_path, pairs, "words")
    assert vocabulary["names"] == ["a", "some", "thing", *sorted(COLOURS)]
    assert vocabulary["images"] == [40, 40, 40, *[10] * 4]
    colour = 3 + sorted(COLOURS).index(list(COLOURS)[17 % 4])
    assert sorted(files.classes_of([KEYS[17]])[0].tolist()) == [0, 1, 2, colour]
    few, vocabulary, _ = labelled(tmp_path, pairs, "words", vocabulary=4)
    assert vocabulary["names"] == ["a", "some", "thing", min(COLOURS)] and few.info.num_classes == 4


def test_tokens_of_captions(pairs, tmp_path):
    """Of CLIP's BPE, whose tokens of whole words end with </w>."""
    _, vocabulary, _ = labelled(tmp_path, pairs, "tokens")
    assert {"a</w>", "some</w>", "thing</w>", "red</w>"} <= set(vocabulary["names"])


@pytest.mark.parametrize(
    ("objective", "labels"),
    [("mlcd", "words"), ("multi_softmax", "words"), ("multi_sigmoid", "words"), ("superclass", "tokens")],
)
def test_objectives_train_on_words(make_config, objective, labels):
    config = make_config(*OWN, f"assign={{labels: {labels}}}", objective=objective)
    run = TrainingRun(config, torch.device("cpu"), Progress())
    assert run.stages == ["assign", "fit", "export"]
    run.run()
    losses = [line["loss"] for line in read_log(config.output / "fit" / "log.jsonl")]
    assert len(losses) == 4 and losses[-1] < losses[0]


def test_one_label_and_a_file_that_changes(make_config, tmp_path):
    path = write_csv(tmp_path / "own.csv", [(key, str(number % 4)) for number, key in enumerate(KEYS)])
    changes = (*OWN, f"assign={{labels: {path}}}")
    TrainingRun(make_config(*changes, objective="cluster"), torch.device("cpu"), Progress()).run()
    write_csv(path, [(key, str(number % 5)) for number, key in enumerate(KEYS)])
    with pytest.raises(ConfigError, match=r"assign was made by another config: labels was .* and is "):
        TrainingRun(make_config(*changes, objective="cluster"), torch.device("cpu"), Progress()).run()
    write_csv(path, [(key, f"{number % 5};7") for number, key in enumerate(KEYS)])
    config = make_config(*changes, objective="cluster", name="several")
    with pytest.raises(ConfigError, match=r"cluster: got 2 labels per image \(assign.labels\), expected 1$"):
        TrainingRun(config, torch.device("cpu"), Progress()).run()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("own.txt", "", r"expected a file \.csv, \.tsv, \.parquet, \.jsonl"),
        ("gone.csv", None, r"there is no file"),
        ("own.csv", "image,labels\na,b\n", r"has the columns image, labels, expected key and labels"),
        ("own.csv", "key,labels\ns000,a\ns000,b\n", r"row 2: the key 's000' is there twice"),
        ("own.csv", "key,labels\ns000,\n", r"holds no labels"),
        ("own.csv", "key,labels\nx,a\ny,b\n", r"none of its 2 keys is of an image of .*such as 'x', .*such as 's000'"),
        ("own.csv", "key,labels\ns000,a\n", r"has a single class, expected at least 2"),
        ("own.csv", "key,labels\ns000,3\ns001,2147483648\n", r"got the label 2147483648, expected numbers below"),
        ("own.jsonl", "[1]\n", r"line 1 is no JSON object: got list, expected an object"),
        ("own.jsonl", '{"key": "s000", "labels": [0.5]}\n', r"row 1: got the labels \[0.5\], expected texts or whole"),
        ("own.jsonl", '{"labels": [1]}\n', r"row 1: got labels, expected key and labels"),
        ("own.jsonl", "{\n", r"own\.jsonl, line 1 is no JSON object: "),
    ],
)
def test_mistakes_are_one_sentence(make_config, tmp_path, capsys, name, text, sentence):
    if text is not None:
        (tmp_path / name).write_text(text)
    config = make_config(*OWN, f"assign={{labels: {tmp_path / name}}}")
    with pytest.raises(UserError, match=sentence) as error:
        TrainingRun(config, torch.device("cpu"), Progress()).run()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("assign={labels: words}",), r"no section embed with assign.labels words, which needs no clusters"),
        ((*OWN, "assign={labels: words, threshold: 0.5}"), r"no threshold with labels words"),
        (("assign={labels: 3, vocabulary: 5}",), r"no vocabulary with the 3 nearest centres"),
        ((*OWN, "assign={labels: words}", "fit.objective.centres=clusters"), r"centres: random where labels do not"),
        (OWN, r"a section embed, since fit.objective is mlcd"),
    ],
)
def test_configs_that_do_not_fit(make_config, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_config(*changes)


def test_the_plan_of_words_takes_their_vocabulary(make_config, capsys):
    make_config()
    words = ["--set", "embed=null", "--set", "cluster=null", "--set", "assign={labels: words, vocabulary: 500}"]
    assert main(["plan", str(make_config.path()), *words]) == 0
    printed = capsys.readouterr().out
    assert "Counted with 8 labels per image and 500 classes (assign.vocabulary)." in printed


def _rank(rank, port, root, folder, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    files, vocabulary, _ = labelled(folder, root, "words")
    results.put((files.classes_of(KEYS).tolist(), vocabulary))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_label_as_one(pairs, tmp_path, unused_port):
    files, vocabulary, _ = labelled(tmp_path / "one", pairs, "words")
    expected = files.classes_of(KEYS).tolist()
    for outcome in on_two_ranks(_rank, unused_port, pairs, tmp_path / "two"):
        assert outcome == (expected, vocabulary)
