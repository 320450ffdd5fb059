import argparse
import json
import re
from importlib.metadata import EntryPoint

import pytest

from mlcd_eval.cli import ls
from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import TaskIndex

ALL = TaskIndex.load().tasks


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    ls.add_parser(parser.add_subparsers())
    args = parser.parse_args(["ls", *words])
    return args.run(args)


def rows(capsys, *words: str) -> dict[str, dict]:
    assert run(*words, "--json") == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_tasks_with_all_that_their_files_say(capsys):
    tasks = rows(capsys, "tasks")
    assert len(tasks) > 80
    assert tasks["linear_probe/pets"]["settings"] == {"selection": "holdout", "metric": "mean_per_class_recall"}
    assert tasks["zeroshot/objectnet"]["dataset"]["templates"] == "none"


def test_the_pattern_may_stand_before_or_after_the_flag(capsys):
    before = rows(capsys, "tasks", "knn/m*")
    assert run("tasks", "--json", "knn/m*") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(before) == ["knn/mnist"]


def test_plain_lines_are_aligned(capsys):
    assert run("suites") == 0
    lines = capsys.readouterr().out.splitlines()
    names, counts, descriptions = zip(*(re.split("  +", line) for line in lines), strict=True)
    of = dict(zip(names, counts, strict=True))
    named = {"demo": 9, "minute": 4, "mlcd_paper": 60, "datacomp38": 38, "elevater20": 20, "vtab": 19, "vtab1k": 19}
    assert all(of[name] == f"{count} tasks" for name, count in named.items()) and of["mieb_lite"] == "20 tasks"
    for column in (counts, descriptions):
        assert len({line.index(text) for line, text in zip(lines, column, strict=True)}) == 1


def test_tasks_by_group_fit_a_screen(capsys):
    assert run("tasks", "--group") == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if not line.startswith("  ")]
    assert len(headings) < len(lines) < 60 and max(map(len, lines)) <= 100
    assert [heading.partition(" ")[0] for heading in headings] == sorted({name.split("/")[0] for name in ALL})
    names = [f"{group}/{end}" for group, ends in shown_groups(lines).items() for end in ends]
    assert names == sorted(ALL)
    assert run("tasks", "--group", "--json", "retrieval/*comp*") == 0
    assert json.loads(capsys.readouterr().out) == {"retrieval": ["datacomp_flickr30k", "datacomp_mscoco_captions"]}
    with pytest.raises(ConfigError, match="no name matches"):
        run("tasks", "--group", "nothing/*")


def shown_groups(lines):
    """Group -> the names beside or below its heading, which says how many there are."""
    groups, sizes, heading = {}, {}, ""
    for line in lines:
        if line.startswith("  "):
            groups[heading] += line.split()
        else:
            heading, size, *names = line.split()
            groups[heading], sizes[heading] = names, int(size.strip("()"))
    assert sizes == {group: len(names) for group, names in groups.items()}
    return groups


def test_datasets_say_where_their_files_come_from(capsys):
    datasets = rows(capsys, "datasets")
    assert datasets["food101"]["source"] == "clip-benchmark/wds_food101"
    assert datasets["demo_clipart"]["source"] == "bundled"
    assert datasets["birdsnap"]["source"].startswith("yours: put a folder")
    assert datasets["fer2013"]["tasks"]["linear_probe/fer2013"]["sizes"] == {"train": 32140, "test": 3574}
    assert all(row["source"] != "yours: None" for row in datasets.values())


def test_datasets_list_the_forms_of_the_flag(capsys):
    forms = rows(capsys, "datasets", "hf*")
    assert [form.partition(":")[0] for form in forms] == ["hf", "hf-pairs", "hf-vqa"]
    assert forms["hf-vqa:ORG/NAME|DIR[?OPTIONS]"]["kind"] == "docvqa"
    assert "revision" in forms["hf:ORG/NAME|DIR[?OPTIONS]"]["options"]


def test_forms_of_the_flag_name_their_options(capsys):
    assert run("datasets", "csv:*") == 0
    assert "options image, label, caption, split, group, train, images, delimiter, encoding" in capsys.readouterr().out


def test_models_are_open_clips(capsys):
    import open_clip

    listed = {name.removeprefix("open_clip:") for name in rows(capsys, "models")}
    assert set(open_clip.list_models()) <= listed


def test_models_are_listed_by_every_form_and_option_of_their_kinds(capsys, monkeypatch):
    point = EntryPoint("theirs", "no_such_package.rows:ROW", "mlcd_eval.encoders")
    monkeypatch.setattr(KINDS, "added", {"theirs": point})
    models = rows(capsys, "models")
    for form in ("PATH", "vlm:PATH", "vlmevalkit:NAME", "hf-seg:ORG/NAME", "python:FILE.py:FACTORY"):
        assert models[form]["description"]
    assert "classifier" in models["timm:...?checkpoint=FILE"]["description"]
    assert models["theirs:"]["description"] == "added by the package no_such_package"  # and not imported


def test_models_fit_a_screen_unless_a_pattern_asks_for_more(capsys, monkeypatch):
    point = EntryPoint("theirs", "no_such_package.rows:ROW", "mlcd_eval.encoders")
    monkeypatch.setattr(KINDS, "added", {"theirs": point})
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    names = {line.split()[0] for line in lines if line and line[0] != " "}
    assert {form for name in KINDS.built_in for form in KINDS[name].forms} | {"theirs:..."} <= names
    assert any(line.endswith("architectures: mlcd-eval ls models 'open_clip:*'") for line in lines)
    assert run("models", "open_clip:ViT-B-32*") == 0
    assert "open_clip:ViT-B-32-quickgelu" in capsys.readouterr().out


def test_a_pattern_without_a_match_names_the_nearest():
    with pytest.raises(ConfigError, match=r"no name matches 'zeroshot/food10' \(did you mean 'zeroshot/food101'\?\)"):
        run("tasks", "zeroshot/food10")
