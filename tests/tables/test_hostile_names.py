"""Names that a spreadsheet, a browser or LaTeX would run, in every table."""

import csv
import io
import json

import pytest
from pairs import picture, write_shard
from payloads import tower

from mlcd_eval.cli import main
from mlcd_eval.encoders.adapters.checkpoint import save_checkpoint

HOSTILE = ["=cmd|' /C calc'!A0", '<img src=x onerror="alert(1)">', "\\input{/etc/passwd}", "| x |", "＝1+1", "@SUM(A1)"]


@pytest.fixture
def hostile_records(tmp_path, capsys, monkeypatch):
    """Records of a run whose model and data set have hostile names everywhere."""
    model, data = tmp_path / HOSTILE[0].replace("/", ""), tmp_path / "wds_data"
    save_checkpoint(model, tower({"context_length": 12, "width": 32, "depth": 1, "heads": 2}))
    for split in ("train", "test"):
        members = [(f"s{number}.{end}", value) for number in range(12) for end, value in
                   (("png", picture("red", number)), ("cls", str(number % 6).encode()))]  # fmt: skip
        write_shard(data / split / "0.tar", members)
        (data / split / "nshards.txt").write_text("1")
    (data / "classnames.txt").write_text("\n".join([*HOSTILE[:5], HOSTILE[1]]))
    (data / "zeroshot_classification_templates.txt").write_text("<script>alert(2)</script> {c}")
    task = tmp_path / "t.yaml"
    spec = {
        "name": "zeroshot/<b>=t",
        "version": 1,
        "protocol": "zeroshot",
        "dataset": {"name": "=d", "ref": f"wds:{data}"},
    }
    task.write_text(json.dumps(spec))
    folders = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--workers", "0"]
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--model", model.name, "--tasks", str(task), "--log-samples", *folders]) == 0
    assert "warning: class names that occur more than once" in capsys.readouterr().err
    return tmp_path / "out"


def test_hostile_names_in_every_table(hostile_records, capsys):
    def table(name):
        assert main(["table", str(hostile_records), "--format", name]) == 0
        return capsys.readouterr().out

    rows = list(csv.DictReader(io.StringIO(table("csv"))))
    assert rows and {row["spec"][:5] for row in rows} == {"'=cmd"} and {row["dataset"] for row in rows} == {"'=d"}
    starts = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
    assert not [cell for row in rows for cell in row.values() if cell.startswith(starts)]
    page = table("html")
    assert "&lt;img src=x" in page or "\\u003cimg src=x" in page  # the repeated name, in the record's details
    assert "<img" not in page and "<b>=t" not in page and "<script>alert" not in page
    assert "<b>=t" not in table("markdown") and "&lt;b&gt;=t" in table("markdown")
    assert r"\textless{}b\textgreater{}" in table("latex")
    assert {row["dataset"] for row in json.loads(table("json"))} == {"=d"}
