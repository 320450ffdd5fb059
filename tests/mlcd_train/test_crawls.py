"""Training data as people have it: whole runs on tars without captions, with them in .json, on loose images, on bad
ones."""

import json

import pytest
import torch
from pairs import picture, write_shard

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.support.progress import Progress
from mlcd_train.runlog import read_log
from mlcd_train.stages import TrainingRun

IMAGES = 20


class Said(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def write(folder, caption, broken=()):
    """A tar of images. caption: number -> the files beside an image, by suffix."""
    members = []
    for number in range(IMAGES):
        contents = b"not an image" if number in broken else picture("red", number)
        members += [(f"{number:05d}.jpg", contents), *((f"{number:05d}.{end}", text) for end, text in caption(number))]
    write_shard(folder / "0.tar", members)
    return f"tars:{folder}"


def trained(make_config, train, *changes, objective="mlcd"):
    """The lines that a run says, and its last line in the log."""
    settings = ("cluster.k=4", "assign.labels=2") if objective == "mlcd" else ()
    few = ("fit.steps=5", "fit.batch_size=4", "fit.save_every=5", "data.shuffle=4")
    config = make_config(f"data.train={train}", *settings, *few, *changes, objective=objective)
    run = TrainingRun(config, torch.device("cpu"), Said())
    run.run()
    return run.progress.lines, read_log(config.output / "fit" / "log.jsonl")[-1]


@pytest.mark.parametrize("missing", [[], [("txt", b" \n")]])
def test_a_caption_that_is_missing_or_blank_is_counted_and_its_image_is_trained_on(make_config, tmp_path, missing):
    """img2dataset writes a blank one for null."""
    train = write(tmp_path / "crawl", lambda number: missing if number == 3 else [("txt", b"red")])
    lines, last = trained(make_config, train)
    assert "data: 1 of 20 samples have no caption, which nothing in this run reads" in lines
    assert last["step"] == 5 and last["bad_images"] == 0


def test_captions_that_are_only_in_json_are_read(make_config, tmp_path):
    facts = json.dumps({"caption": "a red thing", "url": "x"}).encode()
    _, last = trained(make_config, write(tmp_path / "crawl", lambda number: [("json", facts)]), objective="clip")
    assert last["step"] == 5 and last["bad_images"] == 0


def test_tars_of_images_and_nothing_else(make_config, tmp_path):
    train = write(tmp_path / "crawl", lambda number: [])
    assert trained(make_config, train)[1]["step"] == 5
    with pytest.raises(IncompatibleError, match="clip needs captions: got crawl, whose first samples have none"):
        trained(make_config, train, objective="clip")


def test_a_folder_of_images_without_classes(make_config, tmp_path):
    (tmp_path / "flat").mkdir()
    for number in range(IMAGES):
        (tmp_path / "flat" / f"{number}.jpg").write_bytes(picture("red", number))
    assert trained(make_config, f"files:{tmp_path}/flat")[1]["step"] == 5


def test_images_that_cannot_be_decoded_are_tolerated_as_a_share(make_config, tmp_path):
    train = write(tmp_path / "crawl", lambda number: [("txt", b"red")], broken=(3, 11))
    _, last = trained(make_config, train, "data.allow_bad=0.1", objective="clip")
    assert last["bad_images"] == last["bad_images/undecodable"] == 2
    with pytest.raises(DataError, match=r"got 2 bad samples of 20 \(undecodable: 2\), expected .* share of 0.09"):
        trained(make_config, train, "data.allow_bad=0.09", "name=again", f"output={tmp_path}/again", objective="clip")
