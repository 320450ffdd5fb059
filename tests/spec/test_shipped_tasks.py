"""The task files that ship: that they are all there, and say what the papers say."""

import pytest

from mlcd_eval.data.open import find_dataset
from mlcd_eval.protocols.registry import PROTOCOLS
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.bundled import demo_data_dir, tasks_dir

INDEX = TaskIndex.load()


def test_a_task_file_is_where_its_name_says():
    files = {f"{file.parent.name}/{file.stem}" for file in tasks_dir().glob("*/*.yaml")}
    datasets, suites = (f"datasets/{name}" for name in INDEX.datasets), (f"suites/{name}" for name in INDEX.suites)
    assert files == {*INDEX.tasks, *datasets, *suites}


OTHERS = {"zeroshot/fer2013"}
"""Zero-shot on a set of CLIP's that the tables leave out."""
DATACOMPS = ("imagenet_a", "imagenet_sketch", "imagenetv2", "objectnet")


def test_the_papers_tables_are_covered():
    probes = INDEX.select(["linear_probe"])
    zeroshot = [task for task in INDEX.select(["zeroshot"]) if "(CLIP)" in task.paper and task.name not in OTHERS]
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
    demo = {task.protocol for task in INDEX.select(["demo"])}
    regions = {"region_classification", "region_retrieval"}
    dense = {"seg_knn", "seg_linear", "seg_zeroshot", "depth_linear", "normals_linear", "correspondence", "tracking"}
    dense |= regions
    others = {"association", "instance_retrieval"}  # bundled sets that measure something else
    assert demo == set(PROTOCOLS) - others - dense
    assert {task.protocol for task in INDEX.select(["dense_demo"])} == dense


@pytest.mark.parametrize("protocol", ["linear_probe", "zeroshot"])
def test_the_metric_is_the_datasets(protocol):
    metrics = {task.published: task.settings.get("metric") for task in INDEX.select([protocol]) if task.published}
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
        assert find_dataset(demo_data_dir(), dataset) is not None
    else:
        assert [bool(source) for source in (dataset.hub or dataset.ref, dataset.how)].count(True) == 1


def test_facts_of_a_data_set_are_written_once():
    changed = {task.name for task in INDEX.tasks.values() if task.dataset != INDEX.datasets[task.dataset.name]}
    prompts = {f"zeroshot/datacomp_{name}" for name in DATACOMPS}
    assert changed == {"zeroshot/sun397", *prompts}  # the hub copy has no train split; DataComp has other prompts


def test_probes_of_papers_choose_their_penalty_as_the_papers_do():
    assert {task.settings.get("selection") for task in INDEX.select(["linear_probe"])} == {"holdout"}
