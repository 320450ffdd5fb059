import json
import re
import subprocess
import sys
from importlib.resources import files

import open_clip
import pytest

from mlcd_eval.data import prompts
from mlcd_eval.data.prompts import resolve
from mlcd_eval.errors import ConfigError, IncompatibleError


def test_clip_benchmark_lists_word_for_word():
    packaged = files("clip_benchmark") / "datasets"
    templates = json.loads((packaged / "en_zeroshot_classification_templates.json").read_text())
    class_names = json.loads((packaged / "en_classnames.json").read_text())
    assert prompts.templates("imagenet1k") == tuple(templates["imagenet1k"])
    assert len(prompts.templates("imagenet1k")) == 80
    assert prompts.class_names("pets") == tuple(class_names["pets"])
    for key in templates:
        assert all("{c}" in template for template in prompts.templates(key))


def test_imagenet7_is_the_subset_that_open_clip_has():
    assert [template("X") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES] == [
        template.replace("{c}", "X") for template in prompts.IMAGENET7
    ]


def test_the_datasets_own_lists_come_first():
    got = resolve(["a", "b"], ["{c}!"], dataset="mnist")
    assert (got.class_names, got.templates) == (("a", "b"), ("{c}!",))
    assert got.source == "class names: folder; templates: folder"


@pytest.mark.parametrize("dataset", ["pets", "wds_vtab-pets", "clip-benchmark/wds_vtab-pets"])
def test_clip_benchmark_by_name_fills_the_gaps(dataset):
    got = resolve(None, None, dataset=dataset)
    assert got.class_names == prompts.class_names("pets")
    assert got.templates == ("a photo of a {c}, a type of pet.",)
    assert got.source == "class names: clip-benchmark:pets; templates: clip-benchmark:pets"


def test_references_beat_the_dataset():
    from_dataset = ["a", "b"], ["{c}!"]
    assert resolve(*from_dataset, templates_ref="imagenet7").templates == prompts.IMAGENET7
    assert resolve(*from_dataset, templates_ref="none").templates == ("{c}",)
    assert resolve(*from_dataset, class_names_ref="clip-benchmark:mnist").class_names == prompts.class_names("mnist")
    assert resolve(*from_dataset, templates_ref="clip-benchmark:food101").source == (
        "class names: folder; templates: clip-benchmark:food101"
    )
    got = resolve(*from_dataset, ["x", "y"], ["a {c}", "b {c}"])
    assert (got.class_names, got.templates) == (("x", "y"), ("a {c}", "b {c}"))
    assert got.source == "class names: task; templates: task"


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: prompts.templates("food10"), ConfigError, "no templates for 'food10'.*did you mean 'food101'"),
        (lambda: prompts.class_names("flower"), ConfigError, "no class names for 'flower'.*did you mean 'flowers'"),
        (
            lambda: resolve(["a"], None, templates_ref="clip-benchmark:imagenet"),
            ConfigError,
            "did you mean 'imagenet1k'",
        ),
        (
            lambda: resolve(["a"], None, templates_ref="imagenet80"),
            ConfigError,
            "'imagenet80'.*did you mean 'imagenet7'",
        ),
        (
            lambda: resolve(["a"], None, "imagenet7", "none"),
            ConfigError,
            "class names for .* got 'imagenet7', expected folder",
        ),
        (lambda: resolve(["a"], ["a photo"]), ConfigError, "got 'a photo', expected {c}"),
        (
            lambda: resolve(["a"], None, dataset="mine"),
            IncompatibleError,
            "mine needs templates: got none, expected zeroshot_classification_templates.txt in its folder"
            r".* or `templates` under `dataset:` in a task file",
        ),
        (lambda: resolve(None, ["{c}"], dataset="mine"), IncompatibleError, "mine needs class names.*classnames.txt"),
        (lambda: resolve(None, None, "folder", dataset="pets"), IncompatibleError, "pets needs class names"),
    ],
)
def test_what_cannot_be_resolved_is_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert re.search(sentence, str(raised.value)) and "\n" not in str(raised.value)


def test_lists_are_read_without_torch():
    code = (
        "import sys; from mlcd_eval.data import prompts; prompts.templates('mnist'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
