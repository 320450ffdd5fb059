"""The published numbers: that they are whole, and that they are the ones that were printed."""

import json
from decimal import ROUND_HALF_UP, Decimal

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.bundled import published_dir
from mlcd_eval.tables.published import PublishedNumber, groups, published_numbers, select

ALL = [number for group in groups("papers") for number in published_numbers(group)]
ROWS = {}
for _number in ALL:
    ROWS.setdefault((_number.group, _number.label), {})[_number.column] = _number
AVERAGED = [key for key, row in ROWS.items() if "AVG" in row]


def pick(group: str, **wanted) -> PublishedNumber:
    found = [n for n in published_numbers(group) if all(getattr(n, key) == value for key, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def read(name: str) -> dict:
    return json.loads((published_dir() / f"{name}.json").read_text())


def test_no_number_is_lost():
    counts = {group: len(published_numbers(group)) for group in groups("papers")}
    assert counts == {
        "linear_probe_vit_l14": 5 * 27,  # 26 datasets and their mean
        "zeroshot_vit_l14": 5 * 26,
        "retrieval_vit_l14": 4 * 12,
        "imagenet_vit_l14": 4 * 8 - 3,  # three dashes
        "ablation_vit_b32": 4 * 6,
        "mlc_vs_mlcd_vit_b32": 2 * 3,
        "linear_probe_vit_b32": 4 * 27,
        "refcoco": 5 * 8 + 3 * 8,  # and the rows of RICE
        "docvqa": 4,
        "vision_towers": 6 * 5,
        "imagenet_linear_probe_released": 3,
        "linear_probe_released_vit_l14_336": 2 * 12,
    }
    assert len(ALL) == sum(counts.values())


@pytest.mark.parametrize("key", AVERAGED, ids=str)
def test_a_printed_mean_recomputes_to_its_printed_decimal(key):
    row = dict(ROWS[key])
    average = row.pop("AVG")
    assert len(row) in (25, 26)
    mean = sum(Decimal(str(number.value)) for number in row.values()) / len(row)
    printed = Decimal(1).scaleb(-average.decimals)
    assert mean.quantize(printed, ROUND_HALF_UP) == Decimal(str(average.value)).quantize(printed)


def test_fourteen_rows_have_a_mean():
    assert len(AVERAGED) == 5 + 5 + 4


def test_numbers_read_off_the_papers_tables():
    assert pick("linear_probe_vit_l14", model="MLCD", column="AVG").value == 84.6
    assert pick("linear_probe_vit_l14", source="reproduced by the MLCD paper", column="HatefulMemes").value == 61.8
    assert pick("zeroshot_vit_l14", model="FLIP", column="SST2").value == 58.5
    assert pick("linear_probe_vit_b32", model="MLCD", pretraining="COYO-700M", column="SST2").value == 73.4
    assert pick("ablation_vit_b32", setting=pick_setting("positive centers l = 8")).value == 75.2
    text = pick("retrieval_vit_l14", model="MLCD", task="retrieval/mscoco_captions", metric="image_to_text_recall@1")
    assert (text.column, text.value, text.fraction) == ("mscoco text R@1", 60.8, pytest.approx(0.608))
    assert pick("docvqa", model="MLCD-Embodied-7B").fraction == 0.916
    assert pick("vision_towers", architecture="ViT-bigG-14-448", column="OCRBench").fraction is None


def pick_setting(end: str) -> str:
    return f"ImageNet linear probe of models trained for 5 epochs; {end}"


def test_labels_tell_the_rows_of_a_table_apart():
    for group in groups("papers"):
        rows = read(group)["rows"]
        labels = {(number.label, number.setting) for number in published_numbers(group)}
        assert len(labels) == len(rows)


def test_a_label_has_one_value_for_a_tasks_metric():
    places = [(number.label, number.task, number.metric) for number in ALL if number.task is not None]
    assert len(places) == len(set(places))
    assert not any("None" in number.label for number in ALL)


def test_values_are_in_their_unit_with_the_decimals_printed():
    for number in ALL:
        top = {"percent": 100, "fraction": 1, "points of 1000": 1000}[number.unit]
        assert 0 < number.value <= top, number
        assert round(number.value, number.decimals) == number.value, number


def test_columns_and_tasks_agree():
    index = TaskIndex.load()
    meant = {(number.task, number.metric): number.column for number in ALL if number.task is not None}
    assert {task for task, _ in meant} <= set(index.tasks)
    for (name, metric), column in meant.items():
        task = index.tasks[name]
        if task.protocol == "retrieval":
            assert column.startswith(f"{task.published} ")
        else:
            default = {"refcoco": "overall_iou", "docvqa": "anls"}.get(task.protocol, "acc1")
            assert metric == task.settings.get("metric", default)
    by_task = {name: {n.column for n in ALL if n.task == name} for name, _ in meant}
    for task in index.tasks.values():
        if task.name in by_task and task.protocol != "retrieval":
            assert task.published in by_task[task.name]


def test_the_table_of_datasets_is_the_tasks():
    datasets = read("datasets")["datasets"]
    probes = {task.published: task for task in TaskIndex.load().select(["linear_probe"])}
    assert len(datasets) == 27
    for name, row in datasets.items():
        assert dict(probes[name].dataset.sizes) == {"train": row["train"], "test": row["test"]}


def test_the_seed_pages_rows_are_the_tables_numbers():
    page = read("seed_page")
    assert len(page["rows"]) == 17
    for _, dataset, metric, value, model in page["rows"]:
        group = "docvqa" if metric == "ANLS" else "refcoco"
        column = dataset.replace("RefCoCo", "RefCOCO").replace("g-", "g ").replace("test B", "testB")
        assert pick(group, model=model, column=column).value == value


def test_the_models_that_people_compare_with_are_there():
    models = {number.model for number in ALL}
    baselines = {"CLIP", "OpenCLIP", "SigLIP", "DFN5B", "FLIP", "UNICOM", "EVF-SAM", "GLaMM", "VisionLLM v2", "LISA"}
    assert baselines | {"MLCD", "MLC", "MLCD-Seg-7B", "MLCD-Embodied-7B"} <= models


def test_an_unknown_table_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'zeroshot_vit_l14'"):
        published_numbers("zeroshot_vitl14")


def test_the_pages_row_of_mlcd_seg_is_near_rices_and_not_mlcds():
    """The note of results/published/refcoco.json, computed from its rows."""
    rows = {
        label: {
            number.column: number.value for number in published_numbers("refcoco") if number.label.startswith(label)
        }
        for label in ("MLCD-Seg-7B", "RICE (LLaVA-NeXT", "MLCD (LLaVA-NeXT")
    }
    page, rice, mlcd = rows.values()
    assert len(page) == 8
    assert max(abs(page[column] - rice[column]) for column in page) == pytest.approx(0.2)
    assert max(page[column] - mlcd[column] for column in page) == pytest.approx(2.5)
    (paper,) = {number.paper_url for number in published_numbers("refcoco") if number.model == "RICE"}
    assert paper == "https://arxiv.org/abs/2507.20025"


def test_numbers_are_chosen_by_model_by_task_or_all():
    every = list(select())
    of_model, of_task = list(select("ViT-B-32/openai")), list(select(task="zeroshot/imagenet"))
    assert {number.task for number in of_task} == {"zeroshot/imagenet"} and 0 < len(of_task) < len(every)
    assert {number.model for number in of_model} == {"ViT-B-32", "openai/clip-vit-base-patch32"}
