"""Each page of CONTRIBUTING.md: its package is installed, its commands run, and they print what the page says."""

from pathlib import Path

import pytest
from documentation import ROOT, blocks, holds, install, run

PAGES = sorted((ROOT / "docs" / "contributing").glob("*.md"))
SLOW = ("objective", "data_scheme", "protocol", "table_format")  # half a minute each
GROUPS = ("protocols", "encoders", "data", "formats")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in SLOW else []) for page in PAGES],
)
def test_the_steps_of_a_page_work(page, tmp_path):
    site = install(page, tmp_path)
    output = ""
    for block in blocks(page):
        if block.language == "bash":
            output = run(block.text, tmp_path, site)
        elif block.language == "text":
            assert holds(output, block.text), f"{page.name} says\n{block.text}\nbut the command printed\n{output}"


def test_contributing_names_every_page():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(f"docs/contributing/{page.name}" in text for page in PAGES)
    assert {page.stem for page in PAGES} == {
        *("protocol", "metric", "encoder_kind", "data_scheme", "table_format", "objective")
    }


def test_pages_say_every_entry_point_group():
    text = "".join(page.read_text() for page in PAGES)
    assert all(f'[project.entry-points."mlcd_eval.{group}"]' in text for group in GROUPS)


def test_output_is_compared_line_by_line():
    assert holds("a  1\nb 2\nc 3\n", "a 1\n...\nc ...\n")
    assert not holds("a 1\nb 2\n", "b 2\na 1\n")
    assert not holds("a 1\n", "a 2\n")
    assert Path(PAGES[0]).is_file()
