"""Which published numbers compare with a record, and where the record stands among them; by hand-made numbers."""

from dataclasses import replace

import pytest
from conftest import make_result, metric

from mlcd_eval.errors import ConfigError
from mlcd_eval.tables.published import Dialect, published_numbers, select
from mlcd_eval.tables.published.comparable import differences
from mlcd_eval.tables.published.models import Model
from mlcd_eval.tables.published.standing import frontier, standings

PROMPTS = "class names: clip-benchmark:imagenet1k; templates: clip-benchmark:imagenet1k"
NUMBER = next(n for n in select("ViT-B-32/openai", "zeroshot/imagenet", ["open_clip/zeroshot"]))


def record(value=0.655, ci95=None, prompts=PROMPTS, spec="open_clip:mine", size=50_000, **changes):
    result = make_result(
        "mine",
        "zeroshot/imagenet",
        [metric("acc1", value, ci95)],
        details={"prompts": prompts, "num_templates": 80},
        **changes,
    )
    model = result.model.model_copy(update={"spec": spec})
    data = result.dataset.model_copy(update={"num_samples": size})
    return result.model_copy(update={"model": model, "dataset": data})


def published(name, value, params=None, gflops=None, **dialect):
    sizes = Model(name, params_m=params, gflops=gflops)
    number = replace(NUMBER, model=name, pretraining=None, value=value, identity=sizes)
    return replace(number, dialect=replace(number.dialect, **dialect))


def test_a_number_measured_in_the_same_way_has_no_difference():
    assert differences(NUMBER, record(), "acc1") == ()
    own_lists = record(prompts="class names: folder; templates: folder")
    assert differences(NUMBER, own_lists, "acc1") == ()  # the data set's own copy of clip-benchmark's 80


@pytest.mark.parametrize(
    ("number", "result", "text"),
    [
        (NUMBER, record(prompts=PROMPTS.replace(": clip-benchmark:imagenet1k", ": imagenet7", 1)), "class names"),
        (
            NUMBER,
            record(prompts="class names: clip-benchmark:imagenet1k; templates: imagenet7"),
            "prompts: clip-benchmark:imagenet1k (yours: imagenet7)",
        ),
        (NUMBER, record(size=200), "images: 50000 (yours: 200)"),
        (NUMBER, record(limit=40), "limit: none (yours: 40)"),
        (replace(NUMBER, metric="mean_per_class_recall"), record(), "metric: mean_per_class_recall (yours: acc1)"),
        (
            published("a", 0.5, prompts="a photo of {c}."),
            record(),
            "prompts: a photo of {c}. (yours: clip-benchmark:",
        ),
        (
            replace(NUMBER, dialect=Dialect(split="test")),
            record(),
            "prompts: not stated (yours: clip-benchmark:",
        ),
        (published("a", 0.5, split="val"), record(), "split: val (yours: test)"),
        (published("a", 0.5, language="de"), record(), "language: de (yours: en)"),
    ],
)
def test_each_factor_that_differs_is_named(number, result, text):
    (difference,) = differences(number, result, "acc1")
    assert difference.text.startswith(text)


def test_a_papers_number_compares_with_the_settings_of_its_task_alone():
    clip = next(n for n in published_numbers("imagenet_vit_l14") if n.task == "zeroshot/imagenet")
    usual = record()
    assert differences(clip, usual, "acc1") == ()
    task = usual.task.model_copy(update={"settings": {"layer": "penultimate"}})
    (difference,) = differences(clip, usual.model_copy(update={"task": task}), "acc1")
    assert (difference.factor, difference.ours) == ("layer", "penultimate")
    data = usual.dataset.model_copy(update={"expected_num_samples": 50_000, "num_samples": 200})
    (difference,) = differences(clip, usual.model_copy(update={"dataset": data}), "acc1")
    assert difference.text == "images: 50000 (yours: 200)"


def test_data_of_another_size_than_the_tasks_does_not_compare_where_the_source_states_none():
    number = next(n for n in select("ViT-B-32/openai", "retrieval/flickr30k", ["open_clip/retrieval"]))
    assert number.dialect.samples is None
    result = make_result("m", "retrieval/flickr30k")
    data = result.dataset.model_copy(update={"expected_num_samples": 1_000, "num_samples": 1_000})
    assert differences(number, result.model_copy(update={"dataset": data}), number.metric) == ()
    data = data.model_copy(update={"num_samples": 100})
    (difference,) = differences(number, result.model_copy(update={"dataset": data}), number.metric)
    assert difference.text == "images: 1000 (yours: 100)"


def test_a_probe_is_compared_by_classifier_shots_and_layer():
    number = next(select("ViT-B-32/openai", "linear_probe/dtd", ["mteb/linear_probe"]))
    factors = {each.factor for each in differences(number, make_result("m", "linear_probe/dtd"), number.metric)}
    assert factors == {"probe", "shots", "layer"}


def test_depth_of_a_paper_is_of_the_task_and_does_not_say_its_layer():
    (number,) = select("TIPSv2 L/14", "depth_linear/nyuv2", ["tips/readme"])
    assert (number.metric, number.value, number.unit, number.higher_is_better) == ("rmse", 0.339, "metres", False)
    exact = make_result("mine", "depth_linear/nyuv2", [metric("rmse", 0.5)])
    bins = exact.model_copy(update={"task": exact.task.model_copy(update={"settings": {"bins": {"number": 256}}})})
    texts = [[each.text for each in differences(number, result, "rmse")] for result in (exact, bins)]
    assert texts == [
        ["probe: not stated (yours: least squares)"],
        ["probe: not stated (yours: 256 bins of depth)"],
    ]


@pytest.mark.parametrize(
    ("model", "task", "table", "value", "text"),
    [
        (
            "RADIO v1 ViT-H/14-CPE",
            "seg_linear/voc2012",
            "radio/models",
            85.17,
            "probe: not stated (yours: logistic regression of patches)",
        ),
        (
            "PE-Spatial L/14-448",
            "seg_linear/ade20k",
            "perception_encoder/spatial",
            48.1,
            "probe: not stated (yours: gradient steps on pixels)",
        ),
        ("TIPSv2 L/14", "seg_zeroshot/ade20k", "tips/readme", 24.7, "prompts: not stated"),
    ],
)
def test_segmentation_of_papers_is_of_the_task_and_not_comparable(model, task, table, value, text):
    (number,) = select(model, task, [table])
    assert (number.metric, number.value, number.unit) == ("miou", value, "percent")
    result = make_result("mine", task, [metric("miou", 0.5)])
    if "steps" in text:
        result = result.model_copy(update={"task": result.task.model_copy(update={"settings": {"sgd": {"steps": 9}}})})
    assert any(each.text.startswith(text) for each in differences(number, result, "miou"))


def test_rank_and_percentile_with_the_interval():
    others = [published(name, value) for name, value in zip("abcde", (0.9, 0.7, 0.66, 0.6, 0.5), strict=True)]
    (standing,) = standings([record(0.655, (0.65, 0.71))], others)
    assert standing.rank == "4 [2, 4] of 6"  # 0.71 is beaten by a alone, 0.65 by a, b and c
    assert standing.percentile == 40.0
    assert [number.model for number in standing.others] == list("abcde")
    (tied,) = standings([record(0.7)], others)
    assert (tied.rank, tied.percentile) == ("2 of 6", 70.0)  # the equal one counts half


def test_a_model_counts_once_and_its_own_published_number_not_at_all():
    own = published("ViT-B-32/openai", 0.63)
    own = replace(own, identity=NUMBER.identity)
    others = [own, published("a", 0.9), published("a", 0.5), published("b", 0.6, prompts="a photo of {c}.")]
    (standing,) = standings([record(spec="open_clip:ViT-B-32/openai")], others)
    assert standing.rank == "2 of 2"
    assert [number.value for number in standing.same_model] == [0.63]
    assert [(number.model, [each.factor for each in differing]) for number, differing in standing.apart] == [
        ("b", ["prompts"])
    ]


def test_what_was_measured_otherwise_comes_in_the_order_of_how_near_it_is():
    """The record's own model first, then other models by the same metric, the nearest values first."""
    otherwise = {"prompts": "a photo of {c}."}
    own = replace(published("own", 0.1, **otherwise), identity=NUMBER.identity)
    numbers = [
        replace(published("other metric", 0.655), metric="mean_per_class_recall"),
        published("far", 0.9, **otherwise),
        published("near", 0.6, **otherwise),
        own,
    ]
    (standing,) = standings([record(spec="open_clip:ViT-B-32/openai")], numbers)
    assert [number.model for number, _ in standing.apart] == ["own", "near", "far", "other metric"]


def test_the_nearest_by_value_and_by_size():
    others = [
        published("a", 0.9, 100, 10),
        published("b", 0.7, 1_000, 20),
        published("c", 0.64, 140, 400),
        published("d", 0.1, 160, None),
    ]
    (standing,) = standings([record(0.655, spec="open_clip:ViT-B-32/mine.pt")], others)
    assert [number.model for number in standing.nearest(2, "value")] == ["b", "c"]
    assert [number.model for number in standing.nearest(1, "gflops")] == ["b"]  # 14.78 is nearer to 20 than to 10
    small = record(0.655)  # 14.5 million parameters
    (standing,) = standings([small], others)
    assert [number.model for number in standing.nearest(2, "parameters")] == ["a", "c"]
    with pytest.raises(ConfigError, match=r"^--by gflops: the GFLOPs of mine are not known, since its spec"):
        standing.nearest(2, "gflops")


def test_the_frontier_is_what_nothing_smaller_beats():
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.6), (3.0, 0.7), (4.0, 0.7), (5.0, 0.9)]
    assert frontier(points) == [0, 3, 5]
    assert frontier(points, higher_is_better=False) == [0, 1]


def test_the_real_field_of_an_imagenet_record():
    (standing,) = standings([record(0.6656, (0.6615, 0.6697))])
    of_open_clip = [number for number in standing.others if number.group == "open_clip/zeroshot"]
    assert len(of_open_clip) + sum(n.group == "imagenet_vit_l14" for n in standing.others) >= 121
    assert not any(number.group.startswith("mteb/") for number in standing.others)
    assert any(number.group == "mteb/zeroshot" for number, _ in standing.apart)
    better = sum(number.fraction > 0.6656 for number in standing.others)
    assert standing.rank.startswith(f"{better + 1} [")
