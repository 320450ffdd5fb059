"""Pages as programs: their blocks are run in order, and print what the page says; every command in them is one."""

import contextlib
import io
import re
import shlex

import pytest
from documentation import ROOT, blocks, holds, run

from mlcd_eval import cli
from mlcd_train import cli as train_cli

RUN = ("tutorial", "data", "api", "tasks", "probes", "tables", "clusters", "watching", "serving")
"""Pages whose every block runs here. Blocks of the language `sh` need a network, a cluster or somebody's data: they are
read by the program's parser alone."""
NEEDED = {"watching": ("tensorboard", "pyarrow"), "data": ("pyarrow",)}


@pytest.mark.parametrize("name", RUN)
def test_the_blocks_of_a_page_run(name, tmp_path, monkeypatch):
    for module in NEEDED.get(name, ()):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLCD_EVAL_CACHE", str(tmp_path / "cache"))
    names: dict = {"__name__": "page"}
    output = ""
    for block in blocks(ROOT / "docs" / f"{name}.md"):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(block.text, names)
            output = printed.getvalue()
        elif block.language == "bash":
            output = run(block.text, tmp_path, tmp_path)
        elif block.language == "text":
            assert holds(output, block.text), f"the page says\n{block.text}\nbut this was printed\n{output}"


def commands():
    """(page, program, words) of each command in blocks of shell, but for pages about packages that add formats."""
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]):
        for block in blocks(page):
            for line in re.sub(r"\\\n", " ", block.text).splitlines() if block.language in ("bash", "sh") else ():
                if match := re.match(r"(mlcd-eval|mlcd-train|torchrun .*?-m mlcd_(?:eval|train)) (.*)", line.strip()):
                    yield page, match[1], match[2]


def test_every_command_of_a_page_is_one(capsys):
    wrong, number = [], 0
    for page, program, rest in commands():
        words = shlex.split(re.sub(r"\|\|.*|(?<!\S)&.*", "", rest), comments=True)
        number += 1
        try:
            (train_cli if "train" in program else cli).build_parser().parse_args(words)
        except SystemExit:
            wrong.append(f"{page.name}: {capsys.readouterr().err}")
    assert wrong == [] and number > 40
