"""docs/watching.md: its commands run and print what it says."""

import pytest
from documentation import ROOT, blocks, holds, run

PAGE = ROOT / "docs" / "watching.md"


def test_the_commands_of_the_page_work(tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("pyarrow")
    output = ""
    for block in blocks(PAGE):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "bash":
            output = run(block.text, tmp_path, tmp_path)
        else:
            assert holds(output, block.text), f"the page says\n{block.text}\nbut the command printed\n{output}"
