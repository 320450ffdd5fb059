"""The setting `ood` from the command line: another data set's images, shared ones, and mistakes."""

import pytest
from own_data import flags, items, png, write_wds

from mlcd_eval.cli import main
from mlcd_eval.records import read_all


@pytest.fixture
def mine(tmp_path):
    return write_wds(tmp_path / "mine", {"train": items(12), "test": items(20)[12:]})


def run(tmp_path, mine, *words, task="zeroshot"):
    return main(flags(tmp_path, "--dataset", f"wds:{mine}", *words, tasks=task))


def others(tmp_path, images):
    """A data set of one split whose labels are beyond the classes of `mine`."""
    folder = write_wds(tmp_path / "others", {"test": [(image, 7) for image in images]}, tuple("abcdefgh"))
    return f"ood=wds:{folder}"


def test_images_of_both_data_sets_are_told_and_left_out(tmp_path, mine, capsys):
    new = [png(level) for level in (1, 2, 3, 4, 5)]
    ood = others(tmp_path, [items(20)[12][0], *new, items(20)[0][0]])  # one of test, one of train
    assert run(tmp_path, mine, "--set", ood) == 0
    said = "zeroshot/mine: 1 images of ood=wds:"
    assert said in (err := capsys.readouterr().err) and "are images of mine too, and are left out" in err
    [record] = read_all([tmp_path / "out"])
    about = {"dataset": "others", "split": "test", "num_images": 6, "num_shared": 1}
    assert record.details["ood"] == about
    [metric] = [metric for metric in record.metrics if metric.name == "ood_auroc_mcm"]
    assert metric.num_scored == 8 + 6 and 0 <= metric.value <= 1
    assert run(tmp_path, mine, "--set", ood, "--set", "lambda_=1.0", task="linear_probe") == 0
    assert "linear_probe/mine: 2 images of ood" in capsys.readouterr().err  # it learns from train
    records = {record.task.name: record for record in read_all([tmp_path / "out"])}
    assert records["linear_probe/mine"].details["ood"]["num_images"] == 5
    assert run(tmp_path, mine, "--set", f"{ood}&x=1") == 2


def test_the_data_are_part_of_a_records_identity(tmp_path, mine):
    assert run(tmp_path, mine, "--set", others(tmp_path, [png(1), png(2)])) == 0
    [first] = read_all([tmp_path / "out"])
    assert run(tmp_path, mine) == 0
    [second] = read_all([tmp_path / "out"])
    assert first.dataset.fingerprint != second.dataset.fingerprint
    assert [metric.value for metric in first.metrics[:3]] == [metric.value for metric in second.metrics[:3]]


def test_all_images_shared_and_unknown_names_are_one_sentence(tmp_path, mine, capsys):
    ood = others(tmp_path, [image for image, _ in items(20)[13:15]])
    assert run(tmp_path, mine, "--set", ood) == 2
    err = capsys.readouterr().err
    assert "zeroshot/mine: all 2 images of ood=wds:" in err and "expected a data set of other images" in err
    assert not list((tmp_path / "cache").rglob("features.npy"))
    assert run(tmp_path, mine, "--set", "ood=demo_capton") == 2
    assert (
        "zeroshot/mine: ood=demo_capton: expected KIND:PATH or a name of `mlcd-eval ls datasets` (did you mean "
        "'demo_captions'?)" in capsys.readouterr().err
    )


def test_a_known_data_set_is_found_by_its_name(tmp_path, mine):
    assert run(tmp_path, mine, "--set", "ood=demo_captions", "--limit", "8") == 0
    [record] = read_all([tmp_path / "out"])
    assert record.details["ood"] == {"dataset": "demo_captions", "split": "test", "num_images": 8, "num_shared": 0}
