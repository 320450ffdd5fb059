"""docs/api.md as a program: its blocks are run in order, and print what the page says."""

import contextlib
import io

from documentation import ROOT, blocks, holds, run

PAGE = ROOT / "docs" / "api.md"


def test_the_blocks_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLCD_EVAL_CACHE", str(tmp_path / "cache"))
    names: dict = {"__name__": "page"}
    output = ""
    for block in blocks(PAGE):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(block.text, names)
            output = printed.getvalue()
        elif block.language == "bash":
            output = run(block.text, tmp_path, tmp_path)
        else:
            assert holds(output, block.text), f"the page says\n{block.text}\nbut the block printed\n{output}"
    assert set(names["frame"]["metric"]) >= {"knn_acc1@20"}
