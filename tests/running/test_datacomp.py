"""DataComp's sets from tiny folders in the layout of its download, from the command line."""

import csv
import io
import json
import tarfile

import numpy as np
import pytest
from own_data import flags, png
from tiny_encoder import TinyEncoder

from mlcd_eval.cli import main
from mlcd_eval.records import read_all

SETS = {"wilds-iwildcam": 182, "wilds-fmow": 62, "dollar_street": 58, "geode": 40}
"""Folder -> classes."""


def write_set(root, name, classes, metadata):
    """A folder as DataComp's download_evalsets.py makes it: no train split, and a .npy beside each label."""
    folder = root / f"wds_{name}_test"
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "nshards.txt").write_text("1")
    (folder / "classnames.txt").write_text("\n".join(f"class {number}" for number in range(classes)))
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of {c}.")
    with tarfile.open(folder / "test" / "0.tar", "w") as tar:
        for number, row in enumerate(metadata):
            vector = io.BytesIO()
            np.save(vector, np.array(row, dtype=np.int64))
            files = {"cls": f"{number % 3}".encode(), "npy": vector.getvalue(), "webp": png(number * 9)}
            for suffix, data in files.items():
                info = tarfile.TarInfo(f"s{number:07d}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def root(tmp_path):
    for name, classes in SETS.items():
        write_set(tmp_path / "data", name, classes, [(number % 4, 1, 0) for number in range(12)])
    folder = tmp_path / "data" / "winogavil"
    (folder / "images").mkdir(parents=True)
    names = [f"word {number}" for number in range(10)]
    for number, name in enumerate(names):
        (folder / "images" / f"{name}.jpg").write_bytes(png(number * 20))
    with (folder / "winogavil_dataset.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["candidates", "cue", "associations", "ID"],
                [json.dumps(names), "apple", json.dumps(names[:2]), 0],
                [json.dumps(names[:5]), "pear", json.dumps(names[3:5]), 1],
            ]
        )
    return tmp_path / "data"


def test_each_set_is_found_and_scored_by_datacomps_main_metric(tmp_path, root, capsys):
    TinyEncoder.images_seen = 0
    tasks = "zeroshot/iwildcam,zeroshot/fmow,zeroshot/dollar_street,zeroshot/geode,association/winogavil"
    assert main(flags(tmp_path, "--data-root", str(root), "--offline", tasks=tasks)) == 0
    records = {result.task.name.partition("/")[2]: result for result in read_all([tmp_path / "out"])}
    assert {name: result.primary_metric for name, result in records.items()} == {
        "iwildcam": "macro_f1_true",
        "fmow": "worst_group_acc1",
        "dollar_street": "worst_group_acc5",
        "geode": "worst_group_acc1",
        "winogavil": "jaccard@10-12",
    }
    regions = records["fmow"].details["groups"]
    assert set(regions) == {"0", "1", "2", "3"} and "groups" not in records["iwildcam"].details
    assert records["fmow"].primary.value == min(region["acc1"] for region in regions.values())
    assert records["winogavil"].details["chance"]["jaccard@10-12"] == pytest.approx((16 / 3 + 1) / 45)
    capsys.readouterr()
    assert main(["table", str(tmp_path / "out"), "--suite", "datacomp38"]) == 0
    shown = capsys.readouterr().out
    assert "zeroshot/fmow [" in shown  # with its number of samples, which is not the set's, so that no mean counts it
    assert "38 of the 38 tasks have no usual value: zeroshot/vtab_caltech101, zeroshot/cifar10," in shown
    assert "Average perf." not in shown.partition("No '")[0]


def test_groups_are_asked_for_before_a_model_is_loaded(tmp_path, root, capsys):
    words = ("--dataset", f"wds:{root}/wds_geode_test", "--set", "metric=worst_group_acc1")
    assert main(flags(tmp_path, *words, tasks="zeroshot")) == 2
    assert "zeroshot/geode_test compares groups: got a data set without any" in capsys.readouterr().err
