"""The documentation's site: it builds without a network, links hold, and the reference says what the code does."""

import os
import subprocess
import sys

import pytest
from documentation import ROOT

from mlcd_eval.cli import COMMANDS
from mlcd_eval.protocols.registry import PROTOCOLS


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site):
    loaded = ('src="http', 'rel="stylesheet" href="http', "@import url(http")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert [str(page) for page in pages if any(mark in page.read_text() for mark in loaded)] == []


def test_blocks_are_blocks_and_tables_tables(site):
    assert [str(page) for page in site.rglob("*.html") if "<p>```" in page.read_text()] == []
    assert '<span class="filename">my_encoder.py</span>' in (site / "tutorial.html").read_text()


def test_the_reference_has_every_command_protocol_and_field(site):
    commands = (site / "reference" / "commands.html").read_text()
    assert [name for name in COMMANDS if f'id="mlcd-eval-{name}"' not in commands] == []
    assert "--skip-incompatible" in commands and 'id="mlcd-train-plan"' in commands
    tasks = (site / "reference" / "tasks.html").read_text()
    assert [name for name in PROTOCOLS.built_in if f'id="settings-of-{name}"' not in tasks] == []
    assert "the number of train images per class whose labels are used" in tasks
    assert "The request that made the record" in (site / "reference" / "records.html").read_text()
    assert "evaluate" in (site / "reference" / "python.html").read_text()


def test_every_protocol_says_what_it_does_not_measure():
    page = (ROOT / "docs" / "protocols.md").read_text()
    sections = dict(section.split("\n", 1) for section in page.split("\n## ")[1:])
    assert sections.keys() == PROTOCOLS.built_in.keys()
    for name, text in sections.items():
        missing = [head for head in ("What", "Why", "Source", "Not measured") if f"\n**{head}.** " not in text]
        assert missing == [], name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) < 900
