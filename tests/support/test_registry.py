"""Registries: built-in things, and those that other packages add by entry points."""

import sys

import pytest
from installed import write_package

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.registry import Registry

BUILT_IN = {"eager": dict, "lazy": "fractions:Fraction"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that installs a package `extra` with the given entry points and returns a new registry."""

    def write(points, name="extra"):
        write_package(tmp_path, name, "THING = 7\n", {"some.group": "\n".join(points)})
        monkeypatch.syspath_prepend(str(tmp_path))
        return Registry("thing", "some.group", BUILT_IN)

    yield write
    sys.modules.pop("extra", None)


def test_a_thing_is_imported_when_it_is_looked_up():
    sys.modules.pop("fractions", None)
    registry = Registry("thing", "some.group", BUILT_IN)
    assert list(registry) == ["eager", "lazy"]
    assert "fractions" not in sys.modules
    assert registry["lazy"].__name__ == "Fraction"
    assert registry["eager"] is dict


def test_things_of_other_packages_are_listed_without_being_imported(package):
    registry = package(["new = extra:THING"])
    assert list(registry) == ["eager", "lazy", "new"]
    assert "new" in registry
    assert (registry.package("new"), registry.package("lazy")) == ("extra", None)
    assert "extra" not in sys.modules
    assert registry["new"] == 7


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown thing 'lazi', expected one of eager, lazy .*'lazy'"):
        Registry("thing", "some.group", BUILT_IN)["lazi"]


def test_a_name_that_is_already_taken_is_refused(package):
    registry = package(["lazy = extra:THING"])
    with pytest.raises(ConfigError, match=r"package extra adds the thing 'lazy', which mlcd-eval already has"):
        list(registry)


def test_two_packages_may_not_add_the_same_name(package):
    package(["new = extra:THING"])
    registry = package(["new = other:THING"], name="other")
    with pytest.raises(ConfigError, match=r"adds the thing 'new', which (extra|other) already has"):
        list(registry)
