"""The rows of kinds, and what reads them: every list of what there is follows from them."""

import dataclasses
import importlib.util
import json
import re
from importlib.metadata import EntryPoint, metadata
from pathlib import Path

import pytest

from mlcd_eval.encoders import registry
from mlcd_eval.encoders.kinds import CHECKPOINT, KINDS, EncoderKind, Option
from mlcd_eval.encoders.registry import check_spec, load_encoder, model_name, parse
from mlcd_eval.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", KINDS.built_in)
def test_a_row_names_what_exists(name):
    kind = KINDS[name]
    assert importlib.util.find_spec(kind.module) is not None
    assert kind.extra is None or kind.extra in metadata("mlcd-eval").get_all("Provides-Extra")
    for form in kind.forms:
        assert parse(form).kind == name
    for option in kind.options:
        values = (*option.metavar.split("|"), "1", "1,1,1")
        value = next(value for value in values if re.fullmatch(option.pattern, value))
        assert parse(f"{name}:x?{option.name}={value}").options == {option.name: value}


def test_the_page_of_encoders_shows_every_form():
    table = {cell for line in (ROOT / "docs" / "encoders.md").read_text().splitlines() for cell in line.split("|")[1:2]}
    shown = set(re.findall(r"`([^`]+)`", " ".join(table)))
    assert {form for name in KINDS.built_in for form in KINDS[name].forms} <= shown


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hf-seg:x/y?init=random", r"got option init=random, expected none, since hf-seg: takes no options$"),
        ("hf:x/y?pool=max", r"got option pool=max, expected pool=pooler\|cls\|mean, tower=vision, image_size=N, "),
        ("vlm:x?device=cpu", r"got option device=cpu, expected device_map=auto \(did you mean 'device_map'\?\)$"),
        (
            "timm:a?img_size=x",
            r"got option img_size=x, expected init=random, seed=N, checkpoint=FILE, key=NAME, img_size=N",
        ),
        ("hf:x/y?pool", r"got option pool=, expected pool="),
        ("timm:test_vit?seed=1", r"got seed=1 without init=random, expected both$"),
        ("timm:test_vit?init=random&checkpoint=README.md", r"got init=random and checkpoint=, expected one of them$"),
    ],
)
def test_options_are_those_of_the_kind(spec, message):
    with pytest.raises(ConfigError, match=message):
        check_spec(spec)


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"needs timm, which is not installed: pip install 'mlcd-eval\[timm\]'$"):
        check_spec("timm:a")
    with pytest.raises(ConfigError, match=r"needs vlmeval, which is not installed: its own documentation says how$"):
        check_spec("vlmevalkit:a")


ADAPTER = """
import torch
from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.kinds import EncoderKind, Option
from mlcd_eval.encoders.registry import model_name

class Flat(Encoder):
    def __init__(self, spec):
        layers = {"penultimate": 3}
        self.info = EncoderInfo(spec.text, model_name(spec.text), "", "none", layers, (8, 8), 0, False)

def load(spec):
    return Flat(spec)

ROW = EncoderKind(
    module=__name__,
    forms={"flat:NAME": "flat features"},
    options=(Option("side", "N", "side in pixels", r"[0-9]+", lambda options: f"_{options['side']}"),),
)
"""


def test_another_package_adds_a_kind(tmp_path, monkeypatch):
    (tmp_path / "flat_encoders.py").write_text(ADAPTER)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("flat", "flat_encoders:ROW", "mlcd_eval.encoders")
    monkeypatch.setattr(KINDS, "added", {"flat": point})
    assert load_encoder("flat:a?side=8").info.layers == {"penultimate": 3}
    assert model_name("flat:a?side=8") == "a_8"
    with pytest.raises(ConfigError, match=r"got option sid=8, expected side=N \(did you mean 'side'\?\)"):
        parse("flat:a?sid=8")
    with pytest.raises(ConfigError, match=r"one of .*hf-seg, python, flat"):
        parse("flt:a")


def test_a_timm_model_is_made_from_its_folder_and_from_a_file_of_weights_beside_it(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    files = [folder / "config.json", folder / "model.safetensors"]
    for file in files:
        file.touch()
    of = KINDS["timm"].files
    assert sorted(of(parse(f"timm:local-dir:{folder}"))) == files
    assert sorted(of(parse(f"timm:local-dir:{folder}?checkpoint={tmp_path / 'w.pt'}"))) == [*files, tmp_path / "w.pt"]
    assert of(parse(f"timm:test_vit?checkpoint={tmp_path / 'w.pt'}")) == []  # its architecture is the library's


def test_what_is_remembered_needs_no_probe():
    """A remembered info must hold on every machine that shares the cache; a probe's last bits may not."""
    defaults = EncoderKind(module="", forms={})
    for name in KINDS.built_in:
        assert not KINDS[name].probed or KINDS[name].files is defaults.files


def test_the_version_of_an_adapter_is_part_of_the_fingerprint(monkeypatch):
    before = load_encoder("timm:test_vit?init=random").info.fingerprint
    changed = {**KINDS.built_in, "timm": dataclasses.replace(KINDS["timm"], version=KINDS["timm"].version + 1)}
    monkeypatch.setattr(KINDS, "built_in", changed)
    assert load_encoder("timm:test_vit?init=random").info.fingerprint != before


def test_options_have_names_and_take_each_of_the_values_that_their_help_lists():
    options = {option for name in KINDS.built_in for option in KINDS[name].options}
    assert {option.name for option in options} >= {"init", "seed", "checkpoint", "pool", "clean", "adaptor"}
    for option in options:
        assert re.fullmatch("[a-z_]+", option.name) and " " in option.help
        for value in option.metavar.split("|") if option.metavar.islower() else ():
            assert re.fullmatch(option.pattern, value), (option.name, value)


def test_options_without_a_label_add_nothing_to_a_name():
    assert Option("a", "N", "help").label({"a": "1"}) == ""
    assert CHECKPOINT in KINDS.built_in


def test_whether_a_model_has_texts_is_known_before_it_is_loaded(tmp_path):
    """open_clip's do; timm's and torchvision's do not; ONNX and this project's checkpoints say it themselves."""
    for spec, has_text in (
        ("open_clip:ViT-B-32/openai", True),
        ("timm:test_vit", False),
        ("torchvision:resnet18?init=random", False),
        ("onnx:a.onnx", False),
        ("onnx:a.onnx?text=b.onnx&tokenizer=c", True),
        ("python:a:b", None),
    ):
        assert KINDS[parse(spec).kind].has_text(parse(spec)) is has_text
    for text in (None, {"width": 8}):
        (tmp_path / "config.json").write_text(json.dumps({"vision": {}, "text": text}))
        assert KINDS[CHECKPOINT].has_text(parse(str(tmp_path))) is (text is not None)
