"""The mean over languages and Met's GAP from the command line, each with the record's outcomes."""

import json

import pytest
from own_data import flags, items, png, write_wds

from mlcd_eval.cli import main
from mlcd_eval.metrics.table import metric_value
from mlcd_eval.records import outcomes, read


def record_of(folder):
    (path,) = folder.rglob("*.json")
    result = read(path)
    return result, outcomes.read_outcomes(path, result).columns


def test_zero_shot_over_all_languages(tmp_path, monkeypatch, capsys):
    names = {"DE": [[0, 1, 2, 3, 4, 6], list("abcdef")], "SW": [[1, 3], ["gr", "st"]], "BR": [[0], ["x"]]}
    lists = {"babel_imagenet.json": names, "nllb_dist13b_prompts.json": {"DE": ["ein {}", "{}!"], "SW": ["{}"]}}
    monkeypatch.setattr("mlcd_eval.data.translated_prompts.clip_benchmark_lists", lists.__getitem__)
    samples = [(png(number * 11 % 256), number % 7) for number in range(42)]
    data = write_wds(tmp_path / "wds_imagenet1k", {"test": samples}, tuple(f"class {number}" for number in range(7)))
    words = ("--dataset", f"wds:{data}", "--set", "language=macro")
    assert main(flags(tmp_path, *words, tasks="zeroshot")) == 0
    result, columns = record_of(tmp_path / "out")
    assert result.primary_metric == "macro_acc1" and result.task.settings["language"] == "macro"
    by_language = result.details["by_language"]
    assert set(by_language) == {"de", "sw"}  # br has names, and no template
    assert result.primary.value == pytest.approx(sum(each["acc1"] for each in by_language.values()) / 2)
    assert result.details["chance"]["macro_acc1"] == pytest.approx((1 / 6 + 1 / 2) / 2)
    assert (result.primary.num_scored, result.primary.num_unscored) == (36, 6)
    assert metric_value("macro_acc1", columns) == pytest.approx(result.primary.value)
    capsys.readouterr()
    assert main(["table", str(tmp_path / "out"), "--chance"]) == 0
    shown = capsys.readouterr().out
    assert "macro_acc1" in shown and "33.33" in shown, shown
    other = write_wds(tmp_path / "mine", {"test": items(8)})
    assert main(flags(tmp_path, "--dataset", f"wds:{other}", "--set", "language=macro", tasks="zeroshot")) == 2
    assert "class names in 'macro' are known of ImageNet alone: got mine" in capsys.readouterr().err


def test_met(tmp_path, capsys):
    folder = tmp_path / "data" / "met"
    exhibits = [{"id": number // 2, "path": f"MET/{number}.jpg"} for number in range(12)]
    queries = [{"MET_id": number % 6, "path": f"test/{number}.jpg"} for number in range(9)]
    queries += [{"path": f"other/{number}.jpg"} for number in range(4)]
    for name, rows in (("MET_database", exhibits), ("testset", queries)):
        (folder / "ground_truth").mkdir(parents=True, exist_ok=True)
        (folder / "ground_truth" / f"{name}.json").write_text(json.dumps(rows))
        for place, row in enumerate(rows):
            path = folder / "images" / row["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = 40 * row.get("id", row.get("MET_id", 6)) + 7 * (place % 3)
            path.write_bytes(png(shade % 256))
    words = ("--data-root", str(tmp_path / "data"), "--offline")
    assert main(flags(tmp_path, *words, tasks="instance_retrieval/met")) == 0
    result, columns = record_of(tmp_path / "out")
    values = {metric.name: metric.value for metric in result.metrics}
    assert result.primary_metric == "gap" and 0 < values["gap"] <= values["gap_minus"]
    assert result.details["num_without_positive"] == {"instance": 4} and result.primary.num_scored == 13
    assert 0 < result.details["chance"]["gap"] < result.details["chance"]["gap_minus"] < 1
    for name in ("gap", "gap_minus"):
        assert metric_value(name, columns) == pytest.approx(values[name])
    capsys.readouterr()
    assert main(["table", str(tmp_path / "out")]) == 0
    assert "| gap " in (shown := capsys.readouterr().out) and "| gap_minus " in shown, shown
