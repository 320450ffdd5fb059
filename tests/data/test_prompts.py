import json
import re
from importlib.resources import files

import open_clip
import pytest
from fresh_python import imported

from mlcd_eval.data import prompts
from mlcd_eval.data.prompts import resolve
from mlcd_eval.errors import ConfigError, IncompatibleError, UserError


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
    assert "torch" not in imported("from mlcd_eval.data import prompts; prompts.templates('mnist')")


@pytest.mark.parametrize("dataset", ["MNIST", "FGVC-Aircraft", "wds_VTAB-Pets"])
def test_known_names_are_matched_whatever_their_case(dataset):
    key = {"M": "mnist", "F": "fgvc_aircraft", "w": "pets"}[dataset[0]]
    assert resolve(["a"], None, dataset=dataset).templates == prompts.templates(key)
    assert resolve(["a"], None, None, "clip-benchmark:Food-101").templates == prompts.templates("food101")


def test_what_the_flags_mean(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("a {c}\nthe {c}\n")
    assert prompts.templates_of_flag(str(file)) == ("a {c}", "the {c}")
    assert prompts.templates_of_flag("a photo of a {c}.") == ("a photo of a {c}.",)
    assert prompts.templates_of_flag("imagenet7") == "imagenet7"
    assert prompts.class_names_of_flag("clip-benchmark:pets") == "clip-benchmark:pets"
    file.write_text("cat\ndog\n", encoding="utf-8-sig")
    assert prompts.class_names_of_flag(str(file)) == ("cat", "dog")


@pytest.mark.parametrize(
    ("flag", "text", "contents", "sentence"),
    [
        ("templates", "a photo", None, "--templates: got 'a photo', expected a file, a template with {c}, clip-bench"),
        ("templates", "imagenet", None, r"imagenet7, none, clip, mteb, first \(did you mean 'imagenet7'\?\)"),
        ("templates", "x.txt", b"a {c}\na photo\n", "--templates: line 2 of x.txt is 'a photo', expected {c} in it"),
        (
            "class_names",
            "names.txt",
            None,
            "--classnames: got 'names.txt', expected a file, clip-benchmark:NAME, clip, mteb, wordnet, words",
        ),
        ("class_names", "x.txt", b"cat\n\ndog\n", "--classnames: line 2 of x.txt is '', expected a class name"),
        ("class_names", "x.txt", b"", "--classnames: x.txt is empty, expected one of the class names per line"),
        ("class_names", "x.txt", b"caf\xe9", "x.txt is not UTF-8 text"),
    ],
)
def test_a_flag_that_means_nothing_is_one_sentence(flag, text, contents, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if contents is not None:
        (tmp_path / text).write_bytes(contents)
    with pytest.raises(UserError, match=sentence) as raised:
        getattr(prompts, f"{flag}_of_flag")(text)
    assert "\n" not in str(raised.value)


def test_what_clip_uses_is_clip_benchmarks_whatever_the_data_has():
    own = ["a", "b"], ["{c}!"]
    known = resolve(*own, dataset="wds_vtab-pets", wanted_class_names="clip", wanted_templates="clip")
    assert known.class_names == prompts.class_names("pets") and known.templates == prompts.templates("pets")
    assert known.source == "class names: clip-benchmark:pets; templates: clip-benchmark:pets"
    other = resolve(*own, dataset="mine", wanted_class_names="clip", wanted_templates="clip")
    assert other.class_names == ("a", "b") and other.templates == prompts.templates("imagenet1k")
    assert other.source == "class names: folder; templates: clip-benchmark:imagenet1k"


def test_what_mteb_uses_is_its_tasks_else_its_prompt_for_imagenet():
    own = ["a", "b"], ["{c}!"]
    known = resolve(*own, dataset="EuroSAT", wanted_class_names="mteb", wanted_templates="mteb")
    assert known.class_names[-1] == "sea or lake" and known.templates == ("a centered satellite photo of {c}.",)
    assert known.source == "class names: mteb:eurosat; templates: mteb:eurosat"
    other = resolve(*own, dataset="mine", wanted_class_names="mteb", wanted_templates="mteb")
    assert (other.class_names, other.templates) == (("a", "b"), ("a photo of {c}.",))
    imagenet = resolve(None, None, dataset="imagenet1k", wanted_class_names="mteb", wanted_templates="mteb")
    assert imagenet.class_names == prompts.class_names("imagenet1k")
    assert imagenet.templates[0].replace("{c}", "tench") == "a photo of tench\n."  # a line of its file of names


def test_lists_made_of_the_datas_own():
    own = ["sugar_cone, cone", "AnnualCrop", ",", "c++"], ["a {c}", "b {c}"]
    made = resolve(*own, wanted_class_names="words", wanted_templates="first")
    assert made.class_names == ("sugar cone", "Annual Crop", ",", "c++") and made.templates == ("a {c}",)
    assert made.source == "class names: words of folder; templates: first of folder"
    of_task = resolve(*own, templates_ref="imagenet7", wanted_templates="first")  # what the task means by its own
    assert (of_task.templates, of_task.source) == (
        prompts.IMAGENET7[:1],
        "class names: folder; templates: first of imagenet7",
    )


def test_wordnets_class_names_are_torchvisions():
    from torchvision.models import ResNet18_Weights

    named = resolve(None, None, dataset="imagenet1k", wanted_class_names="wordnet")
    assert list(named.class_names) == ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert resolve(["a"], ["{c}"], dataset="mine", wanted_class_names="wordnet").class_names == ("a",)


def test_a_task_file_may_name_a_sources_lists():
    assert resolve(["a"], ["{c}!"], None, "mteb", "mine").templates == ("a photo of {c}.",)
