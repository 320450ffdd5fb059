"""lm-eval's and lmms-eval's layouts."""

import json

import pytest

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
    assert code == 0 and set(records) == {"docvqa/docvqa_val", "docvqa/chartqa", "docvqa/textvqa"}
    docvqa = records["docvqa/docvqa_val"]
    assert [(one.name, one.value, one.num_scored, one.ci95) for one in docvqa.metrics] == [("anls", 0.916, 5349, None)]
    assert docvqa.dataset.expected_num_samples == docvqa.dataset.num_samples == 5349 and docvqa.limit is None
    assert docvqa.details["theirs"]["standard_errors"]["anls_stderr,none"] == 0.0034
    assert docvqa.details["theirs"]["lmms_eval_version"] == "main@v0.6"
    assert docvqa.model.name == "llava-mlcd-7b@lmms-eval" and docvqa.primary_metric == "anls"
    chartqa, textvqa = records["docvqa/chartqa"], records["docvqa/textvqa"]
    assert (chartqa.primary.name, chartqa.primary.value) == ("relaxed_accuracy", 0.8304)
    assert chartqa.details["not_imported"]["relaxed_human_split,none"] == 0.7144
    assert (textvqa.primary.name, textvqa.primary.value) == ("vqa_accuracy", 0.7511)
    assert textvqa.limit == textvqa.primary.num_scored == 4
    sentence = capsys.readouterr().err
    assert (
        "refcoco_bbox_rec_val: refcoco_IoU,none, refcoco_ACC@0.5,none" in sentence and "refcoco_CIDEr,none" in sentence
    )
    assert "docvqa_test: anls,none, submission,none" in sentence


def test_lm_eval_knows_anls_and_takes_the_numbers_of_samples_and_parameters(run_import, golden, capsys):
    files = [golden / LM, golden / LM.replace("results_", "samples_docvqa_val_").replace(".json", ".jsonl")]
    code, records = run_import("lm-eval", *files)
    assert code == 0 and list(records) == ["docvqa/docvqa_val"]
    result = records["docvqa/docvqa_val"]
    assert result.primary.num_scored == result.limit == 2 and result.dataset.expected_num_samples == 5349
    assert result.model.num_params == 7615616512 and result.model.precision == "torch.bfloat16" and result.seed == 3
    assert "mmlu: acc,none" in capsys.readouterr().err


def test_a_snapshot_in_the_hubs_cache_bears_its_repositorys_name(run_import, lmms):
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
    ("change", "sentence"),
    [
        (set_value("docvqa_val", "anls,none", 91.6), "docvqa_val anls,none is 91.6, expected a fraction, 0 to 1"),
        (set_value("docvqa_val", "anls,none", float("nan")), "docvqa_val anls,none is nan, expected a fraction"),
        (set_value("docvqa_val", "anls,none", "N/A"), "docvqa_val anls,none is 'N/A', expected a fraction"),
        (
            lambda run: run["higher_is_better"]["docvqa_val"].update(anls=False),
            "docvqa_val anls,none is better where lower according to the file, expected higher",
        ),
        (lambda run: run["config"].update(model_args="", model="") or run.update(model_name=""), "names no model"),
        (
            lambda run: [run["results"].pop(task) for task in ("docvqa_val", "chartqa", "textvqa_val")],
            "holds no metric that mlcd-eval knows: got docvqa_test anls,none",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(run_import, lmms, capsys, change, sentence):
    code, records = run_import("lmms-eval", lmms(change))
    assert code == 2 and records == {}
    assert sentence in capsys.readouterr().err


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
    assert list(run_import("lm-eval", file)[1]) == ["docvqa/docvqa_val"]


def test_an_unknown_number_of_samples_is_null(run_import, lmms):
    file = lmms(lambda run: run.pop("n-samples"))
    assert run_import("lmms-eval", file)[1]["docvqa/docvqa_val"].primary.num_scored is None
