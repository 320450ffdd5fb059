"""docs/data.md: that it covers the schemes that there are."""

from documentation import ROOT

from mlcd_eval.data.kinds import ROWS


def test_the_page_shows_every_scheme():
    text = (ROOT / "docs" / "data.md").read_text()
    assert [row.name for row in ROWS if f"`{row.name}:" not in text and f"--dataset {row.name}:" not in text] == []
