"""`mlcd-eval ls published`: what it prints, and its one-sentence errors."""

import json

import pytest
from fresh_python import imported

from mlcd_eval.cli import main


def output(capsys, *words: str) -> str:
    assert main(["ls", "published", *words]) == 0
    return capsys.readouterr().out


def error(capsys, *words: str) -> str:
    assert main(["ls", "published", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_tables_of_papers_and_of_the_atlas_are_listed(capsys):
    lines = output(capsys).splitlines()
    assert "linear_probe_vit_l14               135 numbers    Table 1 (MLCD paper)" in lines
    assert any(line.startswith("open_clip/zeroshot ") and "4719 numbers" in line for line in lines)
    assert len(output(capsys, "mteb/*").splitlines()) == 4


def test_the_count_is_of_all_numbers_or_of_those_chosen(capsys):
    assert int(output(capsys, "--count")) > 45_000
    assert int(output(capsys, "open_clip/zeroshot", "--count")) == 121 * 39
    assert int(output(capsys, "open_clip/*", "--count", "--task", "zeroshot/imagenet")) == 121
    assert int(output(capsys, "*_vit_l14", "--count")) == 135 + 130 + 48 + 29


def test_numbers_of_a_model_and_a_task_with_the_dialect_of_each(capsys):
    lines = output(capsys, "--model", "eva02", "--task", "zeroshot/imagenet").splitlines()
    assert len(lines) == 5 + 4
    first = lines[0].split("  ")
    assert first[0] == "EVA02-E-14-plus, laion2b_s9b_b144k (open_clip)"
    assert "82.01" in first
    assert "prompts=clip-benchmark:imagenet1k, num_prompts=80" in lines[0]
    assert "prompts=a photo of {c}., num_prompts=1" in lines[-1]
    assert output(capsys, "--model", "EVA02-B-16/*", "--task", "zeroshot/imagenet").count("\n") == 2


def test_json_holds_all_that_is_known_of_a_number(capsys):
    words = ["--json", "--model", "openai/clip-vit-base-patch32", "--task", "linear_probe/dtd"]
    numbers = json.loads(output(capsys, "mteb/*", *words))
    (number,) = [number for number in numbers if number["metric"] == "acc1"]
    assert (number["licence"], number["commit"], number["task"]) == ("CC0-1.0", "f4cc6c8b", "linear_probe/dtd")
    assert len(number["experiments"]) == 5
    assert number["value"] == pytest.approx(sum(number["experiments"]) / 5)
    assert (number["dialect"]["shots"], number["dialect"]["seeds"], number["dialect"]["prompts"]) == (16, 5, None)
    assert number["identity"] == {
        "key": "ViT-B-32/openai",
        "hub": "openai/clip-vit-base-patch32",
        "params_m": 151.28,
        "gflops": 14.78,
    }
    papers = json.loads(output(capsys, "zeroshot_vit_l14", "--json"))
    assert len(papers) == 130
    assert papers[0]["paper_url"] == "https://arxiv.org/abs/2407.17331"


def test_mistakes_are_one_sentence_with_the_nearest_name(capsys):
    assert error(capsys, "open_clp/zeroshot").endswith("(did you mean 'open_clip/zeroshot'?)")
    assert error(capsys, "--model", "EVA03").endswith(
        "no published row is of the model 'EVA03' (did you mean 'EVA02'?)"
    )
    assert error(capsys, "--task", "zeroshot/imagnet").endswith("(did you mean 'zeroshot/imagenet'?)")
    sentence = error(capsys, "--model", "TIPSv2", "--task", "zeroshot/imagenet")
    assert (
        "no published number of the model 'TIPSv2' is of the task 'zeroshot/imagenet': it has depth_linear/nyuv2"
        in sentence
    )
    assert "knn/imagenet" in sentence


def test_a_query_imports_nothing_heavy():
    words = ["ls", "published", "--model", "EVA02", "--task", "zeroshot/imagenet"]
    loaded = imported(f"from mlcd_eval.cli import main; main({words})")
    assert not loaded & {"torch", "numpy", "pandas", "pydantic", "mlcd_eval.encoders", "importlib.metadata"}
