"""lm-eval's and lmms-eval's layouts."""

import json

import pytest

from mlcd_eval.imports import lmms_eval
from mlcd_eval.imports.lm_results import Unit, _sample_paths
from mlcd_eval.imports.source import Source

LMMS = "20260925_122419_results.json"
LM = "results_2026-09-25T12-24-19.123456.json"


@pytest.fixture
def lmms(golden, tmp_path):
    """A changed copy: `change` gets the whole."""

    def write(change, source=LMMS):
        content = json.loads((golden / source).read_text())
        change(content)
        path = tmp_path / source
        path.write_text(json.dumps(content))
        return path

    return write


def test_known_tasks_become_records_and_the_others_are_listed(run_import, golden, capsys):
    code, records = run_import(
        "lmms-eval", golden / LMMS, golden / LMMS.replace("results.json", "samples_textvqa_val.jsonl")
    )
    ours = {"docvqa/docvqa_val", "docvqa/chartqa", "docvqa/textvqa"}
    assert code == 0 and set(records) == ours | {"imported/lmms-eval-mme", "imported/lmms-eval-ai2d"}
    assert {name: record.dataset.kind for name, record in records.items()} == {
        name: "docvqa" if name in ours else "unknown" for name in records
    }
    docvqa = records["docvqa/docvqa_val"]
    assert [(metric.name, metric.value, metric.num_scored, metric.ci95) for metric in docvqa.metrics] == [
        ("anls_compat", 0.916, 5349, None)
    ]
    assert docvqa.dataset.expected_num_samples == docvqa.dataset.num_samples == 5349 and docvqa.limit is None
    assert docvqa.details["theirs"]["values"]["anls_stderr,none"] == 0.0034
    assert docvqa.task.settings["harness_version"] == "main@v0.6"
    assert docvqa.model.name == "llava-mlcd-7b@lmms-eval" and docvqa.primary_metric == "anls_compat"
    chartqa, textvqa = records["docvqa/chartqa"], records["docvqa/textvqa"]
    assert (chartqa.primary.name, chartqa.primary.value) == ("relaxed_accuracy", 0.8304)
    halves = {metric.name: metric.value for metric in chartqa.metrics[1:]}
    assert halves == {"relaxed_accuracy_human": 0.7144, "relaxed_accuracy_augmented": 0.9464}
    assert (textvqa.primary.name, textvqa.primary.value) == ("vqa_accuracy", pytest.approx((1 + 0.6 + 0 + 1) / 4))
    mme, ai2d = records["imported/lmms-eval-mme"], records["imported/lmms-eval-ai2d"]
    assert [(metric.name, metric.value, metric.unit) for metric in mme.metrics] == [
        ("mme_cognition_score", 433.2, "points"),
        ("mme_perception_score", 1598.1, "points"),
    ]
    assert (ai2d.primary.name, ai2d.primary.value) == ("exact_match,flexible-extract", 0.7698)
    assert ai2d.task.settings["num_fewshot"] == 0 and ai2d.primary.num_scored is None
    assert textvqa.limit == textvqa.primary.num_scored == 4
    message = capsys.readouterr().err
    assert "refcoco_bbox_rec_val: refcoco_IoU,none, refcoco_ACC@0.5,none (a metric whose unit" in message
    assert "refcoco_CIDEr,none" in message and "docvqa_test: anls,none, submission,none" in message


def test_lm_eval_has_no_task_of_ours_and_says_the_numbers_of_samples_and_parameters(run_import, golden, capsys):
    files = [golden / LM, golden / LM.replace("results_", "samples_docvqa_val_").replace(".json", ".jsonl")]
    code, records = run_import("lm-eval", *files)
    assert code == 0 and list(records) == ["imported/lm-eval-mmlu"]
    result = records["imported/lm-eval-mmlu"]
    assert (result.primary.name, result.primary.value, result.primary.num_scored) == ("acc", 0.61, 14042)
    assert result.limit is None and result.task.settings["limit"] == 2.0 and result.task.settings["task_version"] == 2
    assert result.model.num_params == 7615616512 and result.model.precision == "torch.bfloat16" and result.seed == 3
    assert "docvqa_val: anls,none (a metric whose unit and direction" in capsys.readouterr().err


def test_a_snapshot_in_the_hubs_cache_is_named_by_its_repository(run_import, lmms):
    path = "/cache/hub/models--Qwen--Qwen2.5-VL-3B/snapshots/66285546"
    file = lmms(lambda run: run.update(model_name=path))
    assert run_import("lmms-eval", file)[1]["docvqa/docvqa_val"].model.name == "Qwen2.5-VL-3B@lmms-eval"
    file = lmms(lambda run: run.update(model_name=None))
    assert run_import("lmms-eval", file, name="mine")[1]["docvqa/docvqa_val"].model.fingerprint.endswith(
        "llava-mlcd-7b"
    )


def set_value(task, key, value):
    return lambda run: run["results"][task].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_value("docvqa_val", "anls,none", 91.6), "docvqa_val anls,none is 91.6, expected a fraction, 0 to 1"),
        (set_value("docvqa_val", "anls,none", float("nan")), "docvqa_val anls,none is nan, expected a fraction"),
        (set_value("docvqa_val", "anls,none", "N/A"), "docvqa_val anls,none is 'N/A', expected a fraction"),
        (
            lambda run: run["higher_is_better"]["docvqa_val"].update(anls=False),
            "docvqa_val anls,none is said to be better where lower, expected higher",
        ),
        (
            lambda run: run["config"].update(model_args="", model="") or run.update(model_name=""),
            "names no model: expected --name MODEL",
        ),
        (
            lambda run: [run["results"].pop(task) for task in ("docvqa_val", "chartqa", "textvqa_val", "mme", "ai2d")],
            "holds no value that mlcd-eval knows: docvqa_test: anls,none, submission,none (a metric whose unit",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(run_import, lmms, capsys, change, message):
    code, records = run_import("lmms-eval", lmms(change))
    assert code == 2 and records == {}
    assert message in capsys.readouterr().err


def test_samples_must_be_of_the_run_and_agree(run_import, lmms, tmp_path, capsys):
    file = lmms(lambda run: None)
    samples = tmp_path / "20260925_122419_samples_textvqa_val.jsonl"
    samples.write_text('{"doc_id": 0}\n{"doc_id": 1}\n')
    assert run_import("lmms-eval", file, samples)[0] == 2
    assert "textvqa_val was scored on 4 documents, got samples of [2]" in capsys.readouterr().err
    samples.write_text('{"id": 0}\n')
    assert run_import("lmms-eval", file, samples)[0] == 2
    assert "is no samples file" in capsys.readouterr().err
    other = samples.rename(tmp_path / "20250101_000000_samples_textvqa_val.jsonl")
    assert run_import("lmms-eval", file, other)[0] == 2
    assert "belongs to no results file that was given" in capsys.readouterr().err


def test_a_metric_of_another_filter_is_another_metric(run_import, lmms, capsys):
    file = lmms(set_value("docvqa_val", "anls,lower", 0.99))
    _, records = run_import("lmms-eval", file)
    assert records["docvqa/docvqa_val"].primary.value == 0.916
    assert "docvqa_val: anls,lower" in capsys.readouterr().err


def test_exact_match_of_lm_eval_is_no_vqa_accuracy(run_import, lmms):
    file = lmms(lambda run: run["results"].update(textvqa_val={"exact_match,none": 0.5}), LM)
    assert set(run_import("lm-eval", file)[1]) == {"imported/lm-eval-mmlu", "imported/lm-eval-textvqa_val"}


def test_the_form_up_to_lmms_eval_022(run_import, golden):
    """It calls its `config` `model_configs`, and does not say how many samples there were."""
    _, records = run_import("lmms-eval", golden / "results_lmms_0.2.json")
    docvqa = records["docvqa/docvqa_val"]
    assert docvqa.model.name == "llava-v1.5-7b@lmms-eval" and docvqa.primary.value == 0.2176
    assert docvqa.primary.num_scored is None and docvqa.dataset.num_samples is None
    assert "post_prompt" in docvqa.task.settings["model_specific_prompt_kwargs"]["default"]


def test_a_model_that_the_file_does_not_name_is_named_by_the_user(run_import, lmms):
    file = lmms(lambda run: run["config"].update(model_args="", model="") or run.update(model_name=""))
    code, records = run_import("lmms-eval", file, name="mine")
    assert code == 0 and records["docvqa/chartqa"].model.fingerprint == "unknown:lmms-eval:mine"


def test_answers_among_the_samples_are_scored_by_our_metrics(run_import, lmms, tmp_path):
    """A wrong answer padded with spaces scores with theirs, not with ours."""
    file = lmms(lambda run: run["n-samples"].update(docvqa_val={"original": 5349, "effective": 3}))
    answers = [("['January 2', 'Jan 2']", "january  2"), ("['coffee']", "tea" + 20 * " "), ("['0.28']", "")]
    lines = [
        {"doc_id": n, "target": target, "filtered_resps": [said], "anls": 0} for n, (target, said) in enumerate(answers)
    ]
    samples = tmp_path / "20260925_122419_samples_docvqa_val.jsonl"
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run_import("lmms-eval", file, samples)[1]["docvqa/docvqa_val"]
    values = {metric.name: metric.value for metric in result.metrics}
    assert values == {"anls": pytest.approx(1 / 3), "anls_compat": pytest.approx((1 + 1 - 5 / 23) / 3)}
    assert result.primary_metric == "anls" and result.primary.num_scored == result.limit == 3
    assert result.details["theirs"]["values"]["anls,none"] == 0.916
    assert list(result.details["samples_sha256"]) == [str(samples)]


def test_a_list_as_the_answer_to_a_chart_is_one_answer(run_import, lmms, tmp_path):
    file = lmms(lambda run: run["n-samples"].update(chartqa={"original": 2500, "effective": 2}))
    samples = tmp_path / "20260925_122419_samples_chartqa.jsonl"
    pairs = (("[2014, 2016]", "[2014, 2016]"), ("[2013, 2016]", "2013"))
    lines = [{"doc_id": n, "target": gold, "filtered_resps": [said]} for n, (gold, said) in enumerate(pairs)]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run_import("lmms-eval", file, samples)[1]["docvqa/chartqa"].primary.value == 0.5


def test_a_value_out_of_its_unit_is_left_out_of_a_task_that_is_not_ours(run_import, lmms, capsys):
    file = lmms(lambda run: run["results"].update(squad={"exact_match,none": 65.0}))
    assert "imported/lmms-eval-squad" not in run_import("lmms-eval", file)[1]
    assert "squad: exact_match,none (no fraction of 0 to 1)" in capsys.readouterr().err


def test_a_list_of_runs_is_refused(run_import, golden, tmp_path, capsys):
    path = tmp_path / LMMS
    path.write_text(f"[{(golden / LMMS).read_text()}]")
    assert run_import("lmms-eval", path) == (2, {})
    assert "holds a list, expected one object as lmms-eval writes it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seed", "parameters", "original", "known"),
    [
        (3, 7, 6000, (3, 7, 5349)),
        (0, 1, 5349, (0, 1, None)),
        (True, 0, "6000", (0, None, None)),
        (None, -5, None, (0, None, None)),
        ("3", "7", 5350, (0, None, 5349)),
    ],
)
def test_what_a_run_says_of_itself_is_taken_only_where_it_can_be(run_import, lmms, seed, parameters, original, known):
    def change(run):
        run["config"] |= {"random_seed": seed, "model_num_parameters": parameters, "model_dtype": None}
        run["n-samples"]["docvqa_val"] = {"original": original, "effective": 5349}
        run["configs"]["docvqa_val"].pop("num_fewshot")
        run["n-shot"] = {"docvqa_val": 2}
        run["versions"] = {"docvqa_val": 0}

    result = run_import("lmms-eval", lmms(change))[1]["docvqa/docvqa_val"]
    assert (result.seed, result.model.num_params, result.limit) == known
    assert result.model.precision == "unknown" and result.primary.num_scored == 5349
    assert (result.task.settings["num_fewshot"], result.task.settings["task_version"]) == (2, 0)
    assert not {"alias", "sample_len"} & result.details["theirs"]["values"].keys()


NAMED_BY = [
    ("pretrained=org/name-7b,dtype=auto", "hf", "name-7b"),
    ("dtype=auto,model_version=a/b", "hf", "b"),
    ("model_name=c.safetensors", "hf", "c"),
    ("dtype=auto", "qwen_vl", "qwen_vl"),
    (None, "gpt4v", "gpt4v"),
]


@pytest.mark.parametrize(("arguments", "model", "name"), NAMED_BY)
def test_a_model_is_named_by_its_arguments_or_its_kind(run_import, lmms, arguments, model, name):
    file = lmms(lambda run: run["config"].update(model_args=arguments, model=model) or run.update(model_name=None))
    assert run_import("lmms-eval", file)[1]["docvqa/docvqa_val"].model.name == f"{name}@lmms-eval"


def test_the_samples_of_a_task_are_found_by_the_date_of_its_results(tmp_path):
    def names(stem):
        paths = _sample_paths(Source("lm-eval", tmp_path / f"{stem}.json", b""), "t")
        assert {path.parent for path in paths} == {tmp_path}
        return {path.name for path in paths}

    assert {"samples_t_2026.jsonl", "2026_samples_t.jsonl"} <= names("results_2026") & names("2026_results")
    assert "samples_t_2026-01.jsonl" in names("model_results_2026-01")


def test_a_task_named_like_a_path_has_no_samples_elsewhere(tmp_path):
    source = Source("lm-eval", tmp_path / "results_2026.json", b"")
    assert [_sample_paths(source, task) for task in ("../../x", "a/b", "/etc/passwd")] == [[], [], []]


def test_scores_in_points_have_the_most_that_their_benchmark_gives():
    """MME: 10 perception subtasks of 200 points and 4 cognition subtasks (Fu et al. 2023)."""
    units = lmms_eval.KNOWN.units
    assert {name: unit for name, unit in units.items() if unit.name == "points"} == {
        "mme_perception_score": Unit("points", 10 * 200),
        "mme_percetion_score": Unit("points", 10 * 200),
        "mme_cognition_score": Unit("points", 4 * 200),
    }
