"""Registries: own things, and those of other packages found by entry points."""

import sys

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.registry import Registry

OWN = {"eager": dict, "lazy": "fractions:Fraction"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write an installed package `extra` with the given entry points."""

    def write(points, name="extra"):
        (tmp_path / f"{name}.py").write_text("THING = 7\n")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[some.group]\n" + "\n".join(points) + "\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return Registry("thing", "some.group", OWN)

    yield write
    sys.modules.pop("extra", None)


def test_a_thing_is_imported_when_it_is_asked_for():
    sys.modules.pop("fractions", None)
    registry = Registry("thing", "some.group", OWN)
    assert list(registry) == ["eager", "lazy"]
    assert "fractions" not in sys.modules
    assert registry["lazy"].__name__ == "Fraction"
    assert registry["eager"] is dict


def test_other_packages_add_things_that_are_listed_without_importing_them(package):
    registry = package(["new = extra:THING"])
    assert list(registry) == ["eager", "lazy", "new"]
    assert "new" in registry
    assert (registry.package("new"), registry.package("lazy")) == ("extra", None)
    assert "extra" not in sys.modules
    assert registry["new"] == 7


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown thing 'lazi', expected one of eager, lazy .*'lazy'"):
        Registry("thing", "some.group", OWN)["lazi"]


def test_a_name_that_is_taken_is_refused(package):
    registry = package(["lazy = extra:THING"])
    with pytest.raises(ConfigError, match=r"package extra adds the thing 'lazy', which mlcd-eval has already"):
        list(registry)


def test_two_packages_may_not_add_one_name(package):
    package(["new = extra:THING"])
    registry = package(["new = other:THING"], name="other")
    with pytest.raises(ConfigError, match=r"adds the thing 'new', which (extra|other) has already"):
        list(registry)
