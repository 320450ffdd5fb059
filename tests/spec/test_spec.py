"""Task files: what they may say, and what is said of a mistake."""

from pathlib import Path

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import TaskIndex, TaskSpec, validated
from mlcd_eval.spec.index import read_task
from mlcd_eval.spec.safe_yaml import read_yaml

GOOD = "name: knn/x\nversion: 1\nprotocol: knn\ndataset:\n  name: x\n"


def write(tmp_path: Path, text: str, name: str = "knn/x.yaml") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "version: 2\n", r"x\.yaml, line 6: duplicate key 'version'"),
        (GOOD + "tag: [demo]\n", r"x\.yaml: unknown key 'tag', expected .* \(did you mean 'tags'\?\)"),
        ("name: knn/x\nprotocol: knn\ndataset: {name: x}\n", r"x\.yaml: key 'version' is missing"),
        (GOOD.replace("knn/x", "zeroshot/x"), r"does not begin with its protocol 'knn'"),
        (GOOD.replace("version: 1", "version: one"), r"x\.yaml: version: got 'one'"),
        ("name: !!python/object/apply:os.system ['true']\n", r"x\.yaml, line 1: could not determine a constructor"),
        ("- a\n- b\n", r"x\.yaml: got list, expected a mapping"),
        ("a: [1\n", r"x\.yaml, line 2: "),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence_that_names_it(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_task(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml is missing"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_two_files_with_one_task_name_are_refused(tmp_path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "knn/y.yaml")
    with pytest.raises(ConfigError, match=r"y\.yaml: task name 'knn/x' is taken"):
        TaskIndex.load(tmp_path)


def test_words_pick_groups_suites_names_globs_and_files(tmp_path):
    index = TaskIndex.load()
    probes = index.select(["linear_probe"])
    assert len(probes) == 27
    assert "linear_probe/demo_clipart" not in [task.name for task in probes]
    assert [task.name for task in index.select(["demo"])] == [
        "zeroshot/demo_clipart",
        "retrieval/demo_captions",
        "linear_probe/demo_clipart",
        "knn/demo_clipart",
    ]
    assert [task.name for task in index.select(["knn/mnist", "knn/m*", "knn/mnist"])] == ["knn/mnist"]
    assert index.select([str(write(tmp_path, GOOD))])[0].dataset.name == "x"
    with pytest.raises(ConfigError, match=r"got 'linear_prob'.*did you mean 'linear_probe'"):
        index.select(["linear_prob"])
    with pytest.raises(ConfigError, match=r"did you mean 'zeroshot/food101'"):
        index.select(["zeroshot/food10"])


def test_the_shipped_tasks_cover_the_papers_tables():
    index = TaskIndex.load()
    metrics = {task.published: task.settings.get("metric", "acc1") for task in index.select(["linear_probe"])}
    assert len(metrics) == 27
    assert {name for name, metric in metrics.items() if metric == "mean_per_class_recall"} == {
        "Aircraft",
        "Pets",
        "Caltech101",
        "Flowers",
    }
    assert (metrics["VOC2007"], metrics["HatefulMemes"], metrics["Kinetics700"]) == (
        "map_11point",
        "roc_auc",
        "mean_top1_top5",
    )
    assert len(index.select(["zeroshot"])) == 25 + 6
    assert len(index.select(["mlcd_paper"])) == 27 + 25 + 6 + 2
    for task in index.tasks.values():
        assert task.dataset.hub or task.dataset.ref or task.dataset.how or "demo" in task.tags, task.name


def test_values_become_a_model_or_one_sentence():
    with pytest.raises(ConfigError, match=r"here: name: got 'Bad Name'"):
        validated(TaskSpec, {"name": "Bad Name", "version": 1, "protocol": "knn", "dataset": {"name": "x"}}, "here")
