"""Label files: each image's classes by its key, whoever wrote which part, in few bytes, and what is wrong with them."""

import json
import shutil

import numpy as np
import pytest
import torch
from two_ranks import on_two_ranks

from mlcd_eval.errors import DataError
from mlcd_train import labels as module
from mlcd_train.labels import LabelFiles, LabelsInfo, join_pieces, write_piece

KEYS = [f"shard{number // 100}/ä{number:04d}" for number in range(900)]
CLASSES = torch.randint(50, (900, 3), generator=torch.Generator().manual_seed(0))


def written(folder, keys=KEYS, classes=CLASSES, num_classes=50):
    for begin in range(0, len(keys), 256):
        write_piece(folder, begin, keys[begin : begin + 256], classes[begin : begin + 256])
    join_pieces(folder, LabelsInfo(len(keys), classes.shape[1], num_classes, "d" * 64, "c" * 64))
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return written(tmp_path_factory.mktemp("labels"))


@pytest.mark.parametrize("rows", [100, 1 << 22])
def test_every_key_has_its_classes(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(module, "ROWS", rows)
    folder = written(tmp_path)
    assert len(list(folder.glob("rows_*.npy"))) == (16 if rows == 100 else 1)
    assert not list(folder.glob("piece_*"))
    labels = LabelFiles(folder, dataset="d" * 64)
    order = torch.randperm(900).tolist()
    assert torch.equal(labels.classes_of([KEYS[row] for row in order]), CLASSES[order])
    assert labels.classes_of([KEYS[3]] * 2).tolist() == [CLASSES[3].tolist()] * 2
    with pytest.raises(DataError, match="lacks images of the training data: 'z'"):
        labels.classes_of([KEYS[0], "z"])


def test_equal_beginnings_of_digests_are_told_apart(tmp_path, monkeypatch):
    """Digests that differ in their last two bytes only, as one in 2^48 pairs does."""
    digests = {key: 0x1234_0000_0007_0000 + number for number, key in enumerate("abcd")}
    monkeypatch.setattr(module, "_digests", lambda keys: np.array([digests[key] for key in keys], np.uint64))
    folder = written(tmp_path, list("dbca"), torch.arange(4)[:, None])
    assert LabelFiles(folder).classes_of(list("abcd")).flatten().tolist() == [3, 1, 2, 0]


def test_eight_labels_take_38_bytes_per_image(tmp_path):
    keys, classes = [str(number) for number in range(20_000)], torch.zeros(20_000, 8, dtype=torch.int64)
    folder = written(tmp_path, keys, classes)
    buckets = (folder / "buckets.npy").stat().st_size  # the same for any number of images
    assert buckets < 600_000
    total = sum(path.stat().st_size for path in folder.iterdir()) - buckets
    assert 38 <= total / 20_000 < 38.1


def _rank(rank, port, folder, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    module.ROWS = 100
    mine = slice(0, 400) if rank == 0 else slice(400, 900)
    write_piece(folder, mine.start, KEYS[mine], CLASSES[mine])
    join_pieces(folder, LabelsInfo(900, 3, 50, "d" * 64, "c" * 64))
    results.put(rank)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_write_what_one_does(tmp_path, monkeypatch, unused_port):
    monkeypatch.setattr(module, "ROWS", 100)
    on_two_ranks(_rank, unused_port, tmp_path / "two")
    written(tmp_path / "one")
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_what_is_wrong_with_label_files_is_one_sentence(files, tmp_path):
    def damaged(name, change):
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(files, folder)
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        return folder

    def info(**changes):
        return lambda text: json.dumps(json.loads(text) | changes).encode()

    with pytest.raises(DataError, match=r"holds no labels: .*run `mlcd-train assign`"):
        LabelFiles(tmp_path)
    with pytest.raises(DataError, match="labels another dataset: got fingerprint dddddddddddd, expected eeeeeeeeeeee"):
        LabelFiles(files, dataset="e" * 64)
    for name, change, sentence in (
        ("labels.json", lambda text: b"[]", "holds no labels"),
        ("labels.json", info(format_version=1), "is damaged: expected format_version 2"),
        ("labels.json", info(images=901), "is damaged: 900 rows, expected 901"),
        ("labels.json", info(labels=4), "is damaged: rows of another form than 6 bytes and 4 classes"),
        ("labels.json", info(dataset=3), "is damaged: expected fingerprints"),
        ("rows_00000.npy", lambda data: data[:-9], "holds no labels"),
        ("buckets.npy", lambda data: data[: len(data) // 2], "holds no labels"),
        ("buckets.npy", lambda data: data[:-8] + bytes(8), "is damaged"),
    ):
        with pytest.raises(DataError, match=sentence):
            LabelFiles(damaged(name, change))
    with pytest.raises(DataError, match="is damaged: classes outside 0 to 39"):
        LabelFiles(damaged("labels.json", info(num_classes=40))).classes_of(KEYS)
