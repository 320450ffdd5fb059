"""Dialects: names for settings, which explicit settings override."""

import argparse
import json

import pytest
from own_data import MODEL

from mlcd_eval.cli import ls
from mlcd_eval.errors import ConfigError
from mlcd_eval.planning.job import settings_of
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.protocols.dialects import ProtocolDialect, expanded
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import TaskIndex

DIALECTS = {"wide": ProtocolDialect({"a": 1, "b": 2}, "a paper"), "narrow": ProtocolDialect({"a": 3}, "another")}
EVERY = [(protocol, name) for protocol in PROTOCOLS for name in get_protocol(protocol).dialects]


@pytest.mark.parametrize(
    ("task", "request_", "values"),
    [
        ({"a": 7}, {}, {"a": 7}),
        ({"a": 7, "c": 8}, {"dialect": "wide"}, {"dialect": "wide", "a": 1, "b": 2, "c": 8}),
        ({"a": 7}, {"dialect": "wide", "b": 9}, {"dialect": "wide", "a": 1, "b": 9}),
        ({"a": 7, "dialect": "wide"}, {"b": 9}, {"dialect": "wide", "a": 7, "b": 9}),
        ({"dialect": "wide"}, {"dialect": "narrow"}, {"dialect": "narrow", "a": 3}),
        ({"dialect": "wide", "a": 7}, {"dialect": None}, {"dialect": None, "a": 7}),
    ],
)
def test_a_dialect_overrides_what_was_said_before_it_and_yields_to_what_is_said_with_it(task, request_, values):
    assert expanded(DIALECTS, "here", task, request_) == values


@pytest.mark.parametrize(("protocol", "name"), EVERY)
def test_the_settings_of_a_dialect_are_settings_of_its_protocol(protocol, name):
    task = TaskIndex.load().select([f"{protocol}/*"])[0]
    known = get_protocol(protocol)
    settings = settings_of(task, known, {"dialect": name})
    assert settings.dialect == name
    for key, value in known.dialects[name].settings.items():
        assert getattr(settings, key) == value
    assert known.dialects[name].source


def problems(tmp_path, tasks, **settings):
    request = RunRequest(models=(MODEL,), tasks=tasks, output=tmp_path / "out", settings=settings)
    return make_plan(request).problems


def test_an_unknown_dialect_is_refused_with_those_of_each_protocol(tmp_path):
    [problem] = problems(tmp_path, ("zeroshot/demo_clipart", "docvqa/demo"), dialect="mteeb")
    names = ", ".join(get_protocol("zeroshot").dialects)
    assert problem == (
        "--set dialect=mteeb: no chosen task has that dialect, expected one of its protocol's "
        f"(zeroshot {names}; docvqa none) (did you mean 'mteb'?)"
    )
    assert problems(tmp_path, ("zeroshot/demo_clipart",), dialect=["mteb"])[0].startswith("--set dialect=['mteb']: no")


def test_a_dialect_applies_to_the_tasks_whose_protocol_has_it(tmp_path):
    request = RunRequest(models=(MODEL,), tasks=("zeroshot/demo_clipart", "docvqa/demo"), settings={"dialect": "mteb"})
    plan = make_plan(request)
    assert plan.problems == []
    zeroshot, docvqa = plan.tasks.values()
    assert zeroshot.settings.dialect == "mteb" and zeroshot.settings.templates == "mteb"
    assert docvqa.settings.dialect is None
    assert zeroshot.request.settings == {"dialect": "mteb"} and docvqa.request.settings == {}


def test_a_task_file_with_an_unknown_dialect_is_refused():
    task = TaskIndex.load().tasks["zeroshot/demo_clipart"].model_copy(update={"settings": {"dialect": "mteeb"}})
    expected = r"^settings of zeroshot/demo_clipart: 'dialect' is 'mteeb', expected one of .*\(did you mean 'mteb'\?\)$"
    with pytest.raises(ConfigError, match=expected):
        settings_of(task, get_protocol("zeroshot"), {})
    with pytest.raises(ConfigError, match="'dialect' is 'mteb', expected none, since its protocol has no dialects"):
        settings_of(task, get_protocol("docvqa"), {"dialect": "mteb"})


def test_they_are_listed_with_their_settings_and_sources(capsys):
    parser = argparse.ArgumentParser()
    ls.add_parser(parser.add_subparsers())
    args = parser.parse_args(["ls", "dialects", "--json"])
    assert args.run(args) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [f"{protocol}/{name}" for protocol, name in EVERY]
    assert rows["zeroshot/mteb"]["settings"]["templates"] == "mteb"
    assert "mteb 2.26" in rows["zeroshot/mteb"]["source"]


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_a_factor_begins_with_the_default_and_has_every_value_of_the_dialects(protocol):
    known = get_protocol(protocol)
    task = TaskIndex.load().select([f"{protocol}/*"])[0]
    plain = settings_of(task.model_copy(update={"settings": {}}), known, {})
    for setting, values in known.factors.items():
        assert getattr(plain, setting) == values[0]
        for value in values:
            assert getattr(settings_of(task, known, {setting: value}), setting) == value
        for dialect in known.dialects.values():
            assert dialect.settings.get(setting, values[0]) in values
