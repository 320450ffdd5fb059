"""docs/training.md: its small config runs, and the command prints what the page says; its large ones are read, its
scripts are those of a shell, and the commands in them are commands."""

import re
import subprocess

import pytest
import yaml
from documentation import ROOT, blocks, holds, run
from pairs import picture, write_shard
from pydantic import TypeAdapter

from mlcd_train.cli import build_parser, main
from mlcd_train.config import load_config
from mlcd_train.objectives import OBJECTIVES, FitObjective
from mlcd_train.sections import AssignConfig

PAGE = ROOT / "docs" / "training.md"


def test_the_config_of_the_page_trains(tmp_path):
    for shard in range(4):
        members = []
        for number in range(10):
            text = b"" if (shard, number) == (1, 3) else b"a red thing"
            members += [(f"{shard}{number}.jpg", picture("red", number)), (f"{shard}{number}.txt", text)]
        write_shard(tmp_path / "crawl" / f"{shard:05d}.tar", members)
    config, command, output = blocks(PAGE)[:3]
    (tmp_path / config.file).write_text(config.text)
    printed = run(command.text, tmp_path, tmp_path)
    assert holds(printed, output.text), printed


@pytest.fixture
def pages_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [block for block in blocks(PAGE) if block.file]
    for block in files:
        (tmp_path / block.file).write_text(block.text)
    return {block.file: block.text for block in files}


def test_every_config_of_the_page_is_one(pages_files, tmp_path):
    configs = {name: load_config(tmp_path / name) for name in pages_files if name.endswith(".yaml")}
    assert set(configs) == {"train.yaml", "pretrain.yaml", "finetune_336.yaml"}
    before, after = configs["pretrain.yaml"], configs["finetune_336.yaml"]
    assert (before.model.vision.image_size, after.model.vision.image_size) == (224, 336)
    stages = ("embed", "cluster", "assign")  # are copied, and would be refused else
    assert all(getattr(before, stage) == getattr(after, stage) for stage in stages)
    assert after.fit.continue_from == before.output / "fit"


def test_the_scripts_of_the_page_run_its_configs(pages_files, tmp_path):
    scripts = {name: text for name, text in pages_files.items() if not name.endswith(".yaml")}
    assert set(scripts) == {"one_gpu.sh", "eight_gpus.sh", "train.sbatch"}
    for name, text in scripts.items():
        subprocess.run(["bash", "-n", str(tmp_path / name)], check=True)
        [command] = re.findall(r"(?:mlcd-train|-m mlcd_train) (run [^&\n]*)", text)
        args = build_parser().parse_args(command.split())
        config = load_config(args.config, args.changes)
        gpus = {"one_gpu.sh": 1, "eight_gpus.sh": 8, "train.sbatch": 64}[name]
        assert config.fit.batch_size % (gpus * config.fit.accumulation) == 0


@pytest.mark.slow
def test_the_memory_of_the_page_is_the_plans(pages_files, capsys):
    def peak(config, gpus, *words):
        assert main(["plan", config, "--gpus", str(gpus), "--images", "4e8", *words]) == 0
        return round(float(re.search(r"^\| peak \| ([\d.]+) \|", capsys.readouterr().out, flags=re.MULTILINE)[1]))

    one, eight = (re.findall(r"--set \S+", pages_files[name]) for name in ("one_gpu.sh", "eight_gpus.sh"))
    page = " ".join(PAGE.read_text().split())
    assert f"({peak('pretrain.yaml', 1, *' '.join(one).split())} GiB by the plan)" in page
    assert f"({peak('pretrain.yaml', 8, *' '.join(eight).split())} GiB each)" in page
    assert f"; {peak('pretrain.yaml', 64)} GiB each, {peak('finetune_336.yaml', 64)} at 336 pixels" in page


def test_the_objectives_and_labels_of_the_page_are_some():
    page = PAGE.read_text()
    objectives = [yaml.safe_load(text) for text in re.findall(r"`(\{name: [^`]*\})`", page)]
    assert {objective["name"] for objective in objectives} == set(OBJECTIVES)
    for objective in objectives:
        TypeAdapter(FitObjective).validate_python(objective)
    labels = [AssignConfig(**yaml.safe_load(text)) for text in re.findall(r"`(?:assign: )?(\{labels: [^`]*\})`", page)]
    assert {str(config.labels) for config in labels} == {"1", "10", "words", "tokens", "ocr", "own.csv"}
