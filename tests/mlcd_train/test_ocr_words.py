"""Words in images as labels, by a reader that is given: kept per shard, read once, on any number of ranks."""

import json
from types import SimpleNamespace

import pytest
import torch
from pairs import picture
from two_ranks import on_two_ranks

from mlcd_eval.data.base import Sample
from mlcd_eval.errors import ConfigError
from mlcd_eval.support.distributed import barrier
from mlcd_eval.support.progress import Progress
from mlcd_train import ocr_words
from mlcd_train.data.source import open_training_data
from mlcd_train.labels import LabelFiles
from mlcd_train.own_labels import label_by_names
from mlcd_train.sections import DataConfig, LabelConfig
from mlcd_train.stages import TrainingRun

KEYS = [f"s{number:03d}" for number in range(40)]


class Reader:
    """Reads two lines in a picture that is rather red, one in a rather green one, and nothing in others."""

    def __init__(self, fingerprint="one"):
        self.info, self.read = SimpleNamespace(fingerprint=fingerprint), 0

    def lines(self, image):
        self.read += 1
        red, green, blue = image.resize((1, 1)).getpixel((0, 0))
        texts = ["Red STOP", "stop, 24"] if red > max(green, blue) + 50 else []
        texts = ["Go!"] if green > max(red, blue) + 50 else texts
        return [SimpleNamespace(text=text) for text in texts]


def labelled(folder, pairs, reader):
    ocr_words.reader = lambda: reader
    split = open_training_data(DataConfig(train=f"wds:{pairs}"), None, captions=False)
    label_by_names(folder / "words", split, LabelConfig(labels="ocr"), Progress())
    barrier()
    return LabelFiles(folder / "words", split.scan().fingerprint)


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    monkeypatch.setattr(ocr_words, "reader", ocr_words.reader)


def test_words_are_labels_and_kept(pairs, tmp_path):
    """Ten images each of red, green, blue and grey, in this order; `stop` twice in an image counts once."""
    reader = Reader()
    files = labelled(tmp_path, pairs, reader)
    names = json.loads((tmp_path / "words" / "vocabulary.json").read_text())
    assert names == {"names": ["24", "go", "red", "stop"], "images": [10, 10, 10, 10]} and reader.read == 40
    assert files.classes_of(KEYS[:4]).tolist() == [[2, 3, 0], [1, -1, -1], [-1, -1, -1], [-1, -1, -1]]
    shards = sorted((tmp_path / "words_ocr").rglob("*.jsonl"))
    rows = [json.loads(line) for line in shards[0].read_text().splitlines()]
    assert len(shards) == 4 and rows[0] == {"key": "s000", "labels": ["red", "stop", "24"]}
    shards[2].unlink()  # of a run that was stopped
    again = Reader()
    assert labelled(tmp_path, pairs, again).info == files.info and again.read == 10
    other = Reader("another version")
    assert labelled(tmp_path, pairs, other).info == files.info and other.read == 40


def test_an_image_that_cannot_be_decoded_has_no_words():
    """And the ones after it are read."""
    images = [Sample("junk", b"no image"), Sample("red", picture("red", 0))]
    shard = SimpleNamespace(samples=lambda: iter(images))
    assert list(ocr_words._read(shard, Reader())) == [("junk", []), ("red", ["red", "stop", "24"])]


def test_a_missing_reader_is_said_before_anything_else(make_config, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rapidocr", None)
    config = make_config("embed=null", "cluster=null", "assign={labels: ocr}")
    with pytest.raises(ConfigError, match=r"needs RapidOCR, pip install 'mlcd-eval\[ocr\]'"):
        TrainingRun(config, torch.device("cpu"), Progress()).run()
    assert not config.output.exists() or not list(config.output.iterdir())


def _rank(rank, port, root, folder, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    results.put(labelled(folder, root, Reader()).classes_of(KEYS).tolist())
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_read_as_one(pairs, tmp_path, unused_port):
    expected = labelled(tmp_path / "one", pairs, Reader()).classes_of(KEYS).tolist()
    assert on_two_ranks(_rank, unused_port, pairs, tmp_path / "two") == [expected, expected]
