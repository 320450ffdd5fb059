"""What pages name is there: files of this repository, test files, test functions and anchors of other pages."""

import re

import pytest
from documentation import ROOT, blocks

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MADE = {"mlcd_train/objectives/sigmoid.py", "tests/test_nearest_mean.py", "tests/test_sigmoid.py"}
"""Files that pages about packages of one's own write themselves."""


@pytest.fixture(scope="module")
def tests():
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").rglob("*.py")}


def prose(page):
    """The page without its changes of earlier states, where files may be gone."""
    return page.read_text() if page.name != "CHANGELOG.md" else ""


def test_files_that_pages_name_are_there():
    named = (
        r"\b(?:tests|benchmarks|mlcd_eval|mlcd_train|docs|examples|tasks|results)/[\w/]+\.(?:py|md|txt|sh|ya?ml|json)\b"
    )
    gone = {
        (page.name, path) for page in PAGES for path in re.findall(named, prose(page)) if not (ROOT / path).exists()
    }
    assert {(page, path) for page, path in gone if path not in MADE and "NAME" not in path} == set()


def test_tests_that_pages_name_are_there(tests):
    files, functions = {path.rpartition("/")[2] for path in tests}, "\n".join(tests.values())
    for page in PAGES:
        assert [name for name in re.findall(r"\btest_\w+\.py\b", prose(page)) if name not in files | names(page)] == []
        named = re.findall(r"`(test_\w+)(?:\.\.\.)?`", prose(page))
        assert [name for name in named if f"def {name}" not in functions] == [], page.name


def names(page):
    """Files that the blocks of a page write."""
    return {block.file.rpartition("/")[2] for block in blocks(page) if block.file}


def test_links_lead_to_pages_and_their_sections():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|reference/)([^)\s]+)\)", prose(page)):
            path, _, anchor = target.partition("#")
            linked = (page.parent / path).resolve() if path else page
            assert linked.exists(), f"{page.name}: {target}"
            if anchor:
                sections = re.findall(r"^#+ (.*)$", linked.read_text(), flags=re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", section).strip().lower().replace(" ", "-") for section in sections}
                assert anchor in slugs, f"{page.name}: {target}"
