"""The task files that ship: that they are all there, and say what the papers say."""

import pytest

from mlcd_eval.planning.locate import find_under
from mlcd_eval.protocols.registry import PROTOCOLS
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.bundled import demo_data_dir, tasks_dir

INDEX = TaskIndex.load()


def test_a_task_file_is_where_its_name_says():
    files = {f"{file.parent.name}/{file.stem}" for file in tasks_dir().glob("*/*.yaml")}
    assert files == {*INDEX.tasks, *(f"suites/{suite}" for suite in INDEX.suites)}


def test_the_papers_tables_are_covered():
    probes, zeroshot = INDEX.select(["linear_probe"]), INDEX.select(["zeroshot"])
    assert len(probes) == 27  # table 11
    assert len(zeroshot) == 25 + 6  # table 2, table 4
    names = {task.name.split("/")[1] for task in probes}
    assert {task.name.split("/")[1] for task in INDEX.select(["knn"])} == names - {
        "voc2007"
    }  # no kNN of several labels
    assert [task.name for task in INDEX.select(["retrieval"])] == ["retrieval/flickr30k", "retrieval/mscoco_captions"]
    assert {task.name for task in INDEX.select(["mlcd_paper"])} == {
        task.name for task in [*probes, *zeroshot, *INDEX.select(["retrieval"])]
    }
    assert {task.protocol for task in INDEX.select(["demo"])} == set(PROTOCOLS)


@pytest.mark.parametrize("protocol", ["linear_probe", "zeroshot"])
def test_the_metric_is_the_datasets(protocol):
    metrics = {task.published: task.settings.get("metric") for task in INDEX.select([protocol])}
    special = {name: metric for name, metric in metrics.items() if metric is not None}
    assert special == {
        "Aircraft": "mean_per_class_recall",
        "Pets": "mean_per_class_recall",
        "Caltech101": "mean_per_class_recall",
        "Flowers": "mean_per_class_recall",
        "VOC2007": "map_11point",
        "HatefulMemes": "roc_auc",
        "Kinetics700": "mean_top1_top5",
    }


@pytest.mark.parametrize("name", INDEX.tasks)
def test_data_is_somewhere(name):
    dataset = INDEX.tasks[name].dataset
    if "demo" in INDEX.tasks[name].tags:
        assert find_under(demo_data_dir(), dataset) is not None
    else:
        assert [bool(source) for source in (dataset.hub or dataset.ref, dataset.how)].count(True) == 1


def test_tasks_of_one_dataset_agree_on_it():
    seen = {}
    for task in INDEX.tasks.values():
        data = task.dataset
        assert seen.setdefault(data.name, (data.kind, data.num_classes)) == (data.kind, data.num_classes)
