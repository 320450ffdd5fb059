"""Corruptions, stability and groups from the command line."""

import io

import pytest
from own_data import flags, items, png, write_wds
from PIL import Image
from tiny_encoder import TinyEncoder

from mlcd_eval.cli import main
from mlcd_eval.records import read_all


@pytest.fixture
def mine(tmp_path):
    return write_wds(tmp_path / "mine", {"test": items(6)})


def run(tmp_path, ref, *words, task="zeroshot"):
    return main(flags(tmp_path, "--dataset", ref, *words, tasks=task))


def test_each_alteration_is_a_pass_of_its_own_whose_features_are_kept(tmp_path, mine, capsys):
    TinyEncoder.images_seen = 0
    words = (f"wds:{mine}", "--set", "corruptions=[fog/1, contrast/5]", "--log-samples")
    assert run(tmp_path, *words) == 0
    assert "mine/test fog/1: 6 images" in capsys.readouterr().err
    assert TinyEncoder.images_seen == 6 * 3
    [record] = read_all([tmp_path / "out"])
    assert record.task.settings["corruptions"] == ["fog/1", "contrast/5"]
    assert set(record.details["corruptions"]) == {"fog/1", "contrast/5"}
    assert run(tmp_path, f"wds:{mine}", "--set", "corruptions=[contrast/5, fog/1]") == 0
    assert "kept the record" in capsys.readouterr().err  # the same request in another order
    assert run(tmp_path, f"wds:{mine}", "--set", "corruptions=contrast/5") == 0
    assert TinyEncoder.images_seen == 6 * 3
    assert run(tmp_path, f"wds:{mine}", "--set", "corruptions=frog") == 2
    said = "each alone or with a severity from 1 to 5 as in fog/3, got 'frog' (did you mean 'fog'?)"
    assert said in capsys.readouterr().err


def test_an_image_of_one_pixel_is_one_sentence(tmp_path, capsys):
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG")
    mine = write_wds(tmp_path / "mine", {"test": [*items(3), (file.getvalue(), 1)]})
    assert run(tmp_path, f"wds:{mine}") == 0
    assert run(tmp_path, f"wds:{mine}", "--set", "stability=true") == 2
    assert (
        "image 's003' cannot be altered by stability/flip: got 1 x 1 pixels, expected sides of at least 3"
        in capsys.readouterr().err
    )


def table(tmp_path, name, groups):
    rows = ["path,label,group"]
    for number, group in enumerate(groups):
        (tmp_path / f"{number}.png").write_bytes(png(number * 7))
        rows.append(f"{number}.png,{'xy'[number % 2]},{group}")
    (tmp_path / name).write_text("\n".join(rows))
    (tmp_path / "zeroshot_classification_templates.txt").write_text("a {c}")
    return f"csv:{tmp_path / name}"


def test_a_column_of_groups_is_compared_and_is_part_of_the_identity(tmp_path, capsys):
    ref = table(tmp_path, "mine.csv", "uvuvww")
    assert run(tmp_path, ref) == 0
    [record] = read_all([tmp_path / "out"])
    assert {name: line["num_scored"] for name, line in record.details["groups"].items()} == {"u": 2, "v": 2, "w": 2}
    [worst] = [metric.value for metric in record.metrics if metric.name == "worst_group_acc1"]
    assert worst == min(line["acc1"] for line in record.details["groups"].values())
    assert run(tmp_path, table(tmp_path, "mine.csv", "uuuuuv")) == 0
    [other] = read_all([tmp_path / "out"])
    assert other.dataset.fingerprint != record.dataset.fingerprint and set(other.details["groups"]) == {"u", "v"}
    assert run(tmp_path, f"{ref}?group=label") == 0
    [by_label] = read_all([tmp_path / "out"])
    assert set(by_label.details["groups"]) == {"x", "y"}
    capsys.readouterr()
    assert run(tmp_path, table(tmp_path, "mine.csv", ["u", " ", "v"])) == 2
    assert "row 2 of" in (err := capsys.readouterr().err) and "has no group: got ' ' in column 'group'" in err
