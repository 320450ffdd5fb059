"""`evaluate`: its parameters, the models that it takes, and their names."""

import inspect

import pytest
import torch
from own_data import MODEL, items, write_wds
from tiny_encoder import TinyEncoder, preprocess
from torch import nn

from mlcd_eval import evaluate
from mlcd_eval.errors import ConfigError
from mlcd_eval.records import read
from mlcd_eval.request import RunRequest

OWN = {"progress", "model", "tasks", "name", "preprocess", "tokenizer", "encode_text"}
"""Parameters that are no fields of a request; `model` makes `models`."""


def module(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 6))


@pytest.fixture
def options(tmp_path):
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)})
    folders = {"output": tmp_path / "out", "cache": tmp_path / "cache"}
    return {"tasks": "knn", "datasets": f"wds:{data}", "workers": 0, **folders}


def test_every_field_of_a_request_is_a_parameter_with_its_default():
    parameters = inspect.signature(evaluate).parameters
    assert set(parameters) - OWN == set(RunRequest.model_fields) - {"models", "tasks"}
    request = RunRequest(models=("x",), tasks=("y",))
    for name in set(parameters) - OWN - {"cache", "settings"}:  # None there means the field's own default
        assert parameters[name].default == getattr(request, name), name
    documented = {
        line.split(":")[0].strip() for line in inspect.getdoc(evaluate).splitlines() if line.startswith("    ")
    }
    assert set(parameters) <= documented


def test_modules_encoders_and_specs_share_a_run(options):
    models = [module(0), TinyEncoder(), MODEL, f"mine={MODEL}"]
    results = evaluate(models, preprocess=preprocess, **options)
    assert [(result.model.name, result.model.spec) for result in results] == [
        ("Sequential", "object:torch.nn.modules.container.Sequential"),
        ("TinyEncoder", "object:tiny_encoder.TinyEncoder"),
        ("tiny_encoder_make", MODEL),
        ("mine", MODEL),
    ]
    assert results[1].primary == results[2].primary == results[3].primary
    assert {path.parent.name for path in options["output"].glob("*/*.json")} == {
        *("Sequential", "TinyEncoder", "tiny_encoder_make", "mine")
    }


def test_two_modules_of_one_class_share_neither_features_nor_records(options):
    first, second = evaluate({"a": module(0), "b": module(1)}, preprocess=preprocess, **options)
    assert [result.model.name for result in (first, second)] == ["a", "b"]
    assert first.model.fingerprint != second.model.fingerprint
    assert (first.timing.images_encoded, second.timing.images_encoded) == (30, 30)
    (again,) = evaluate(module(0), name="a", preprocess=preprocess, **options)
    assert again == first  # its record is kept
    (other,) = evaluate(module(2), name="a", preprocess=preprocess, **options)
    assert other.model.fingerprint not in (first.model.fingerprint, second.model.fingerprint)
    assert read(options["output"] / "a" / "knn__mine.json") == other


def test_a_function_that_calls_the_module_finds_it_in_evaluation_mode_and_training_goes_on(options):
    model, modes = module(0).train(), []
    model[0].eval()

    def encode_text(texts):
        modes.append(model.training)
        return torch.ones(len(texts), 6)

    words = {**options, "tasks": ["zeroshot"]}
    (result,) = evaluate(model, preprocess=preprocess, encode_text=encode_text, **words)
    assert result.status == "ok" and modes and not any(modes)
    assert [part.training for part in model.modules()] == [True, False, True]
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        ([module(0), module(1)], {}, "two models are called 'Sequential', expected other names, as in {name: model}"),
        ([MODEL, "x"], {"name": "a"}, "got name='a' with 2 models, expected {name: model} for several"),
        (MODEL, {"preprocess": preprocess}, "got preprocess= without a module, expected an nn.Module"),
        (TinyEncoder(), {"encode_text": len}, "got encode_text= without a module"),
        ({"a/b": module(0)}, {}, "a model's name is 'a/b', expected letters"),
        (module(0), {"name": "samples"}, "a model's name is 'samples', expected .* not samples or submissions"),
        (module(0), {}, "Sequential came without preprocess="),
        (MODEL, {"precision": "fp23"}, "'precision' is 'fp23', expected .*did you mean 'fp32'"),
    ],
)
def test_a_wrong_call_is_one_sentence_before_anything_runs(options, model, more, message):
    TinyEncoder.images_seen = 0
    with pytest.raises(ConfigError, match=message) as caught:
        evaluate(model, **options, **more)
    assert "\n" not in str(caught.value) and TinyEncoder.images_seen == 0
    assert not options["output"].exists()
