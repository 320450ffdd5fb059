"""docs/comparability.md: that it is what its script writes, and covers the dialects that there are."""

import json

from benchmarks import comparability_page


def test_the_page_is_current():
    measured = json.loads(comparability_page.MEASURED.read_text())
    text = comparability_page.PAGE.read_text()
    assert comparability_page.page(text, measured) == text, "run python benchmarks/comparability_page.py"


def test_every_dialect_of_a_protocol_with_a_bundled_task_is_measured():
    measured = json.loads(comparability_page.MEASURED.read_text())
    for protocol in comparability_page.with_dialects():
        dialects = comparability_page.get_protocol(protocol).dialects
        known = {name for name, dialect in dialects.items() if dialect.explains}
        assert known <= set(measured[protocol]["dialects"]), "run python benchmarks/comparability_page.py --measure"
        assert comparability_page.DEFAULT in measured[protocol]["dialects"]


def test_the_page_shows_the_numbers_of_one_set_of_weights():
    (row,) = [line for line in comparability_page.PAGE.read_text().splitlines() if "`ViT-L-14/openai`" in line]
    assert {"75.5", "75.3", "71.2"} <= {cell.strip() for cell in row.split("|")}
