"""Names and values of imported results, and harnesses of other packages."""

import json
import sys

import pytest
from installed import installed

from mlcd_eval.cli import main
from mlcd_eval.errors import DataError
from mlcd_eval.imports.importing import import_results
from mlcd_eval.imports.registry import HARNESSES
from mlcd_eval.imports.values import bounded, fraction, safe_name


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "a\\b", "a\nb"])
def test_a_name_is_no_path(run_import, golden, capsys, name):
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json", name=name)[0] == 2
    assert "--name: got" in capsys.readouterr().err


def test_a_name_is_for_one_model(run_import, golden, tmp_path, capsys):
    other = json.loads((golden / "clip_probe.json").read_text()) | {"model": "ViT-B-32"}
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert run_import("clip-benchmark", golden / "clip_zeroshot.json", tmp_path / "other.json", name="x")[0] == 2
    assert "--name is for one model: got files of ViT-B-32_tiny, tiny_clip_tiny" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("ViT-B-32", "openai"), "ViT-B-32_openai"),
        (("ViT-L-14", "/a/epoch_32.pt"), "ViT-L-14_epoch_32"),
        (("hf-hub:org/name", None), "name"),
        (("../..", ""), ""),
        (("C:\\models\\clip", "x y"), "clip_x_y"),
    ],
)
def test_models_are_named_by_the_last_part(parts, name):
    assert safe_name(*parts) == name


def test_fractions_are_checked_by_unit():
    assert fraction("x", 1.0000001) == 1.0 and fraction("x", 50, per_cent=True) == 0.5 and fraction("x", "0.25") == 0.25
    assert bounded("x", "-0.25", "a correlation", -1, 1) == -0.25 and bounded("x", 1558, "points", 0, 2000) == 1558
    for value, per_cent in ((1.1, False), (-0.1, False), (True, False), (100.1, True), (float("inf"), True)):
        with pytest.raises(DataError, match="expected"):
            fraction("x", value, per_cent=per_cent)


def test_another_package_adds_a_harness(run_import, tmp_path, monkeypatch, capsys):
    """Its module is not imported by other commands, and its files are read as those of our own harnesses."""
    code = (
        "from mlcd_eval.imports.imported_task import ImportedTask, foreign_task\n"
        "from mlcd_eval.imports.registry import Harness\n"
        "from mlcd_eval.metrics.base import Metric\n"
        "ROW = Harness('extra_harness', 'score.json', '7.1')\n"
        "def recognises(first, stem): return 'score' in first\n"
        "def read(sources, index):\n"
        "    for source in sources:\n"
        "        value = source.checked_object()['score']\n"
        "        metrics = (Metric(name='score', value=value, unit='points', num_scored=None),)\n"
        "        yield ImportedTask(source, 'm', foreign_task('extra', 'set'), 'set', metrics, 'score')\n"
    )
    (tmp_path / "score.json").write_text('{"score": 12}')
    with installed(tmp_path, monkeypatch, HARNESSES, "extra = extra_harness:ROW", code):
        assert main(["ls", "suites"]) == 0 and "extra_harness" not in sys.modules
        code, records = run_import("extra", tmp_path / "score.json")
    assert code == 0 and records["imported/extra-set"].primary.value == 12
    assert records["imported/extra-set"].details["format"] == "7.1"


@pytest.mark.parametrize("value", [10**400, [1e-300] * 2000, {"a": 1}, True, None, "x" * 5000])
def test_a_value_that_is_no_number_is_refused_in_a_short_sentence(value):
    with pytest.raises(DataError, match=r"^f.json: acc is .*, expected a fraction, 0 to 1$") as caught:
        fraction("f.json: acc", value)
    assert len(str(caught.value)) < 400


def test_a_name_that_no_file_can_have_is_refused(tmp_path, golden):
    """File systems take 255 bytes; the record's name is made from what the file says."""
    path = tmp_path / "clip.json"
    values = json.loads((golden / "clip_zeroshot.json").read_text())
    path.write_text(json.dumps({**values, "model": "a" * 300}))
    with pytest.raises(DataError, match=r"clip.json holds a name of over 250 characters, which no file can have"):
        import_results("clip-benchmark", [path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
