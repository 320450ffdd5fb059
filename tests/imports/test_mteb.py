"""mteb's result files, with values of its results repository."""

import json

import pytest

from mlcd_eval.records import read_all

MODEL = "mteb/openai__clip-vit-base-patch32/3d74acf9"


@pytest.fixture
def written(golden, tmp_path):
    """A changed copy of CIFAR10.json, without model_meta.json."""

    def write(**changes):
        content = json.loads((golden / MODEL / "CIFAR10.json").read_text())
        path = tmp_path / "CIFAR10.json"
        path.write_text(json.dumps({**content, **changes}))
        return path

    return write


def subset(**scores):
    return {"test": [{"hf_subset": "default", "languages": ["eng-Latn"], **scores}]}


def test_a_folder_becomes_a_record_per_task_split_and_subset(run_import, golden, tmp_path, capsys):
    code, records = run_import("mteb", golden / "mteb")
    assert code == 0 and set(records) == {
        "imported/mteb-CIFAR10",
        "imported/mteb-STS12VisualSTS",
        "imported/mteb-TinyImageNetClustering-valid-default",
        "imported/mteb-XM3600T2IRetrieval-test-de",
        "imported/mteb-XM3600T2IRetrieval-test-en",
    }
    cifar = records["imported/mteb-CIFAR10"]
    assert cifar.model.name == "clip-vit-base-patch32@mteb" and cifar.task.protocol == "imported"
    assert [(metric.name, metric.value, metric.unit) for metric in cifar.metrics] == [
        ("main_score", 0.89852, "fraction"),
        ("accuracy", 0.89852, "fraction"),
        ("f1", 0.899009, "fraction"),
        ("f1_weighted", 0.899009, "fraction"),
    ]
    experiments = cifar.details["theirs"]["experiments"]
    assert sum(experiment["accuracy"] for experiment in experiments) / 5 == pytest.approx(cifar.primary.value)
    german = records["imported/mteb-XM3600T2IRetrieval-test-de"]
    assert german.task.settings["subset"] == "de" and german.task.settings["harness_version"] == "1.14.15"
    assert german.primary.value == 0.18861 and german.dataset.num_samples is None
    assert "XM3600T2IRetrieval: nauc_recall_at_1_max (a score whose unit is not known here)" in capsys.readouterr().err
    assert len(read_all([tmp_path / "out"])) == 5


def test_a_correlation_is_no_fraction(run_import, golden):
    result = run_import("mteb", golden / MODEL / "STS12VisualSTS.json")[1]["imported/mteb-STS12VisualSTS"]
    assert [(metric.name, metric.value, metric.unit) for metric in result.metrics] == [
        ("main_score", 0.538141, "correlation"),
        ("cosine_spearman", 0.538141, "correlation"),
        ("cosine_pearson", -0.25, "correlation"),
    ]


def test_a_main_score_that_equals_no_known_score_is_left_out(run_import, golden, capsys):
    task = "imported/mteb-TinyImageNetClustering-valid-default"
    result = run_import("mteb", golden / MODEL / "TinyImageNetClustering.json")[1][task]
    assert result.primary_metric == "nmi" and [metric.name for metric in result.metrics] == ["nmi"]
    assert "main_score (it equals no score whose unit is known here)" in capsys.readouterr().err


def test_a_file_alone_names_no_model(run_import, written, capsys):
    assert run_import("mteb", written()) == (2, {})
    assert "names no model: expected --name MODEL" in capsys.readouterr().err
    assert run_import("mteb", written(), name="clip")[1]["imported/mteb-CIFAR10"].model.name == "clip"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": subset(accuracy=89.9)}, "CIFAR10 test default: accuracy is 89.9, expected a fraction, 0 to 1"),
        ({"scores": subset(cosine_pearson=-1.5)}, "cosine_pearson is -1.5, expected a correlation, -1 to 1"),
        ({"scores": None}, "is not of mteb 1.11 or later"),
        ({"scores": subset(nauc=0.1)}, "holds no value that mlcd-eval knows: CIFAR10: nauc (a score whose unit"),
        ({"scores": {}}, "is not of mteb 1.11 or later"),
    ],
)
def test_files_that_are_refused(run_import, written, capsys, changes, message):
    assert run_import("mteb", written(**changes), name="x") == (2, {})
    assert message in capsys.readouterr().err
