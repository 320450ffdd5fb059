"""docs/data.md: its commands run, and print what the page says."""

from documentation import ROOT, blocks, holds, run

from mlcd_eval.data.kinds import ROWS

PAGE = ROOT / "docs" / "data.md"


def test_the_commands_of_the_page_work(tmp_path):
    output = ""
    for block in blocks(PAGE):
        if block.language == "bash":
            output = run(block.text, tmp_path, tmp_path)
        else:
            assert holds(output, block.text), f"the page says\n{block.text}\nbut the command printed\n{output}"


def test_the_page_shows_every_scheme():
    text = PAGE.read_text()
    assert [row.name for row in ROWS if f"`{row.name}:" not in text and f"--dataset {row.name}:" not in text] == []
