"""Formats as rows: what the command line reads from them, and a format of another package."""

import pkgutil
import sys

import pytest
from conftest import make_result
from fresh_python import imported
from installed import installed

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.formats import FORMATS, ROWS

PACKAGE = """
from mlcd_eval.tables.formats import TableFormat, TableInput

FORMAT = TableFormat("wordy:write", "words", takes=("baseline",))


def write(table: TableInput) -> str:
    return f"{len(table.results)} from {len(table.paths)} against {table.baseline}"
"""


@pytest.fixture
def wordy(tmp_path, monkeypatch):
    """An installed package that adds the format `words`."""
    with installed(tmp_path, monkeypatch, FORMATS, "words = wordy:FORMAT", PACKAGE):
        yield


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_row_names_a_function_that_exists(row):
    assert callable(pkgutil.resolve_name(row.function))


def test_another_package_adds_a_format(wordy, tmp_path, capsys):
    ResultStore(tmp_path / "runs").write(make_result())
    with pytest.raises(SystemExit):
        main(["table", "--help"])
    assert "words: of the package wordy" in " ".join(capsys.readouterr().out.split())
    assert "wordy" not in sys.modules
    assert main(["table", str(tmp_path / "runs"), "--format", "words", "--baseline", "tiny"]) == 0
    assert capsys.readouterr().out == "1 from 1 against tiny"
    assert main(["table", str(tmp_path / "runs"), "--format", "words", "--training", "x"]) == 2
    assert capsys.readouterr().err == "mlcd-eval: error: --training goes with --format html: got --format words\n"


def test_help_and_choices_are_read_from_the_rows(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["table", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, row in ROWS.items():
        assert f"{name}: {row.help}" in text
    assert "show the differences from (markdown, html, latex, terminal)" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--baseline", "x", "--format", "csv"],
            "--baseline goes with --format markdown, html, latex or terminal: got --format csv",
        ),
        (["--training", "x"], "--training goes with --format html: got --format markdown"),
        (
            ["--published", "MLCD", "--format", "json"],
            "--published and --published-group go with --format markdown, html, latex, terminal, pwc, "
            "pwc-table or pwc-submission: got --format json",
        ),
    ],
)
def test_an_option_that_means_nothing_to_a_format_is_refused(tmp_path, capsys, arguments, sentence):
    assert main(["table", str(tmp_path), *arguments]) == 2
    assert capsys.readouterr().err == f"mlcd-eval: error: {sentence}\n"


def test_a_row_imports_nothing():
    code = "from mlcd_eval.tables.formats import FORMATS; list(FORMATS)"
    assert not {"numpy", "pandas", "pydantic", "jinja2", "huggingface_hub", "yaml"} & imported(code)
