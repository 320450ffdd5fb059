"""The rows of data schemes: that they hold together, and that another package can add one."""

import re
import sys
from importlib.metadata import EntryPoint

import pytest

from mlcd_eval.data import open_dataset
from mlcd_eval.data.kinds import ROWS, SCHEMES, scheme_forms
from mlcd_eval.data.open import discover, parse_reference
from mlcd_eval.data.scheme import DataScheme, SchemeOption, Source
from mlcd_eval.support.registry import Registry


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_fits_its_code(row):
    assert row.form.startswith(f"{row.name}:")
    assert isinstance(row.code, Source)
    assert type(row.code).open is not Source.open
    names = [option.name for option in row.options]
    assert len(set(names)) == len(names) and all(re.fullmatch("[a-z_]+", name) for name in names)
    assert row.root_option in (None, *names)
    assert row.extra is None or row.package is not None


class Words(Source):
    def open(self, address, options, *, name, cache, offline):
        return f"{name} at {address} with {dict(options)}"

    def discover(self, root):
        return [str(path) for path in root.glob("*.words")]


ROW = DataScheme(
    name="words",
    source=f"{__name__}:Words",
    form="words:FILE",
    help="a test",
    kinds=("retrieval",),
    options=(SchemeOption("case", "upper|lower", "the case"),),
)


@pytest.fixture
def added(monkeypatch):
    """A package that adds the scheme `words`."""
    monkeypatch.setitem(sys.modules, "scheme_package", sys.modules[__name__])
    point = EntryPoint("words", "scheme_package:ROW", SCHEMES.group)
    monkeypatch.setattr(SCHEMES, "added", {"words": point})


def test_another_package_adds_a_scheme(added, tmp_path):
    (tmp_path / "b.words").touch()
    assert scheme_forms().endswith(", words:...")
    assert parse_reference("words:x?case=upper").scheme is ROW
    assert open_dataset("words:/data/x?case=lower") == "x at /data/x with {'case': 'lower'}"
    assert ("b.words", f"words:{tmp_path}/b.words") in discover(tmp_path)


def test_a_package_that_is_missing_is_named(added, monkeypatch):
    rows = {"late": DataScheme("late", "x:Y", "late:FILE", "", ("retrieval",), package="no_such_package", extra="late")}
    monkeypatch.setattr("mlcd_eval.data.open.SCHEMES", Registry("data scheme", "no.group", rows))
    with pytest.raises(Exception, match=r"needs the package no_such_package, `pip install 'mlcd-eval\[late\]'`"):
        open_dataset("late:x", name="x")
