"""Two models by hand-made records and samples."""

import json
import math

import numpy as np
import pytest
from compared_records import compared, right_or_wrong, write, write_accuracy
from conftest import make_result, metric
from scipy import stats

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.power import mcnemar_power
from mlcd_eval.records import ResultStore, TaskRecord, read
from mlcd_eval.tables.comparison.compare import Comparison, TaskComparison, as_json, compare
from mlcd_eval.tables.comparison.pairing import load_side
from mlcd_eval.tables.comparison.text import as_text


def test_right_or_wrong_by_mcnemar_with_holm(three_tasks):
    tasks, comparison = compared(three_tasks)
    p = {
        "knn/lost": stats.binomtest(1, 31).pvalue,
        "zeroshot/won": stats.binomtest(2, 22).pvalue,
        "zeroshot/tied": stats.binomtest(3, 12).pvalue,
    }
    for (task, expected), times in zip(p.items(), (3, 2, 1), strict=True):  # in the order of p
        assert tasks[task].p == pytest.approx(expected)
        assert tasks[task].adjusted_p == pytest.approx(expected * times)
        assert tasks[task].test == "McNemar exact"
        low, high = tasks[task].ci95
        assert low < tasks[task].difference < high
    assert tasks["zeroshot/won"].difference == pytest.approx(18 / 40)
    assert [tasks[task].outcome for task in p] == ["loss", "win", "tie"]
    assert comparison.mean_ranks() == pytest.approx(((2 + 2 + 1) / 3, (1 + 1 + 2) / 3))


def test_a_tie_says_what_could_have_been_seen(three_tasks):
    tasks, comparison = compared(three_tasks)
    tied = tasks["zeroshot/tied"]  # 12 of 30 samples are discordant
    assert mcnemar_power(30, 12 / 30, tied.detectable) == pytest.approx(0.8, abs=1e-3)
    assert mcnemar_power(tied.images, 12 / 30, 6 / 30) >= 0.8 and tied.images > 30
    text = as_text(comparison)
    assert f"tie ({100 * tied.detectable:.2f} detectable)" in text and text.count("detectable)") == 1


def test_graded_values_say_how_many_samples_their_difference_takes(tmp_path):
    chance = np.random.default_rng(0)
    a = chance.random(40)
    for model, anls in (("a", a), ("b", a + chance.normal(0.02, 0.1, 40))):
        columns = {"key": list(range(40)), "document": list(map(str, range(40))), "image": ["x"] * 40, "anls": anls}
        write(tmp_path, model, "docvqa/val", "anls", float(anls.mean()), {**columns, "anls": anls.tolist()})
    row = compared(tmp_path)[0]["docvqa/val"]
    assert row.images == math.ceil(40 * (row.detectable / row.difference) ** 2) and 2 < row.images < 400


def test_the_other_way_round_wins_are_losses(three_tasks):
    there = compare(load_side(three_tasks / "a"), load_side(three_tasks / "b"))
    back = compare(load_side(three_tasks / "b"), load_side(three_tasks / "a"))
    assert [task.difference for task in back.tasks] == [-task.difference for task in there.tasks]
    assert (back.count("win"), back.count("loss")) == (there.count("loss"), there.count("win")) == (1, 1)
    assert back.mean_ranks() == there.mean_ranks()[::-1]


def test_a_task_can_be_lost_by_correction_alone(tmp_path):
    write_accuracy(tmp_path, "zeroshot/one", *right_or_wrong(2, 12))  # p = 0.013
    assert compared(tmp_path)[0]["zeroshot/one"].outcome == "win"
    for number in range(4):
        write_accuracy(tmp_path, f"zeroshot/other{number}", *right_or_wrong(5, 5))
    assert compared(tmp_path)[0]["zeroshot/one"].outcome == "tie"


def test_lower_may_be_better_and_equals_share_their_rank():
    def task(a, b, higher):
        return TaskComparison("t", "m", higher, 9, a, b, "some test", p=0.001, adjusted_p=0.001)

    assert [task(0.2, 0.1, True).outcome, task(0.2, 0.1, False).outcome] == ["loss", "win"]
    assert Comparison(None, None, [task(0.2, 0.1, False), task(0.3, 0.3, True)]).mean_ranks() == (1.75, 1.25)


def test_per_class_recall_from_labels(tmp_path):
    labels, ranks = [0, 0, 0, 1], {"a": [1, 1, 1, 2], "b": [1, 2, 3, 1]}
    for model, value in (("a", 1 / 2), ("b", (1 / 3 + 1) / 2)):
        columns = {"key": list("wxyz"), "label": labels, "rank": ranks[model]}
        write(tmp_path, model, "linear_probe/pets", "mean_per_class_recall", value, columns)
    task = compared(tmp_path)[0]["linear_probe/pets"]
    assert task.difference == pytest.approx(1 / 6)
    # weighted differences -1/6, -1/6, +1/2: sums of 1/6, 1/2, 5/6 with either sign, all at least as large as 1/6
    assert (task.test, task.p) == ("permutation of samples", 1)


def recall_columns(image_ranks, text_ranks):
    texts = [f"i{n // 2}#{n % 2}" for n in range(len(text_ranks))]
    images = [f"i{n}" for n in range(len(image_ranks))]
    direction = ["text_to_image"] * len(texts) + ["image_to_text"] * len(images)
    rows = [*(n // 2 for n in range(len(texts))), *range(len(images))]
    return {"key": texts + images, "image": rows, "direction": direction, "rank": [*text_ranks, *image_ranks]}


def test_retrieval_pairs_queries_of_its_direction_and_captions_by_image(tmp_path):
    a, b = recall_columns([1, 3, 9, 9], [9] * 8), recall_columns([1, 5, 1, 9], [1] * 8)
    for model, columns, image, text in (("a", a, 2 / 4, 0.0), ("b", b, 3 / 4, 1.0)):
        write(tmp_path, model, "retrieval/x", "image_to_text_recall@5", image, columns)
        write(tmp_path, model, "retrieval/y", "text_to_image_recall@5", text, columns)
    tasks, _ = compared(tmp_path)
    assert (tasks["retrieval/x"].num_samples, tasks["retrieval/x"].p) == (4, 1)  # one discordant image
    assert tasks["retrieval/x"].test == "McNemar exact"
    assert tasks["retrieval/y"].num_samples == 8
    assert tasks["retrieval/y"].test == "permutation of images"
    assert tasks["retrieval/y"].p == pytest.approx(2 / 2**4, abs=0.01)  # four images, not eight captions


def test_overall_iou_by_image_and_answers_by_document(tmp_path):
    images, documents = ["x", "x", "y", "z"], ["d", "d", "d", "e"]
    unions = {"a": [10, 10, 20, 40], "b": [10, 20, 10, 20]}
    for model, both in (("a", [2, 3, 5, 10]), ("b", [5, 10, 8, 15])):
        ratio = sum(both) / sum(unions[model])
        columns = {"key": [1, 2, 3, 4], "image": images, "intersection": both, "union": unions[model]}
        write(tmp_path, model, "refcoco/val", "overall_iou", ratio, columns)
        anls = [n / 20 for n in both]
        columns = {"key": [1, 2, 3, 4], "document": documents, "image": images, "anls": anls}
        write(tmp_path, model, "docvqa/val", "anls", float(np.mean(anls)), columns)
    tasks, _ = compared(tmp_path)
    assert tasks["refcoco/val"].difference == pytest.approx(38 / 60 - 20 / 80)
    assert tasks["refcoco/val"].p == pytest.approx(2 / 2**3, abs=0.02)  # B is better on each of three images
    assert tasks["refcoco/val"].test == "permutation of images"
    assert tasks["docvqa/val"].p == pytest.approx(2 / 2**2, abs=0.02)
    assert tasks["docvqa/val"].test == "permutation of documents"


def test_without_scores_there_is_a_difference_and_no_test(three_tasks):
    for model, value in (("a", 0.5), ("b", 0.6)):
        write(three_tasks, model, "linear_probe/voc", "map_11point", value, {"key": ["x"], "correct": [1.0]})
        write(three_tasks, model, "other/x", "f1", value, {"key": ["x"], "f1": [1.0]})
    tasks, comparison = compared(three_tasks)
    voc = tasks["linear_probe/voc"]
    assert voc.test == "none (the samples have no column 'places')"
    assert tasks["other/x"].test == "none (f1 has no paired test)"
    assert (voc.ci95, voc.p, voc.adjusted_p, voc.outcome) == (None, None, None, "not tested")
    assert voc.difference == pytest.approx(0.1)
    assert tasks["zeroshot/won"].adjusted_p == pytest.approx(2 * stats.binomtest(2, 22).pvalue)  # of three tests still
    assert "none (f1 has no paired test)" in as_text(comparison)
    assert "B against A: wins 1, ties 1, losses 1, not tested 2." in as_text(comparison)


def test_what_only_one_has_is_listed(three_tasks, failed_result):
    write(three_tasks, "a", "zeroshot/mine", "acc1", 0.5, None)
    for model in ("a", "b"):
        write(three_tasks, model, "zeroshot/bare", "acc1", 0.5, None)
        write(three_tasks, model, "knn/few", "knn_acc1@20", None, {"key": ["x"]})
    write_accuracy(three_tasks, "zeroshot/broken", [1.0], [1.0])
    broken = make_result("b", "zeroshot/broken", status="error", error="oh").model_copy(update={"metrics": ()})
    ResultStore(three_tasks).write(broken)
    tasks, comparison = compared(three_tasks)
    assert len(tasks) == 3
    assert comparison.left_out == {
        "knn/few": "knn_acc1@20 is undefined for A",
        "zeroshot/bare": "A's record, written by an earlier version, has no outcomes of samples",
        "zeroshot/broken": "it failed for B",
        "zeroshot/mine": "B has no record of it",
    }
    assert "Left out: zeroshot/mine (B has no record of it)." in as_text(comparison)


def test_markdown_word_for_word(tmp_path):
    write_accuracy(tmp_path, "zeroshot/won", *right_or_wrong(0, 22, both=18, neither=0))
    text = as_text(compared(tmp_path)[1])
    low, high = compared(tmp_path)[0]["zeroshot/won"].ci95
    cells = [cell.strip() for cell in text.splitlines()[5].split("|")[1:-1]]
    assert cells == [
        "zeroshot/won", "acc@1", "McNemar exact", "win", "40", "45.00", "100.00", "+55.00",
        f"[+{100 * low:.2f}, +{100 * high:.2f}]", "below 1e-06", "below 1e-06",
    ]  # fmt: skip
    assert text.startswith(f"- A: a ({tmp_path / 'a'})\n- B: b ({tmp_path / 'b'})\n\n| task ")
    assert "wins 1, ties 0, losses 0, not tested 0. Mean rank by task: A 2.00, B 1.00." in text


def test_json_holds_the_same(three_tasks):
    _, comparison = compared(three_tasks)
    values = json.loads(as_json(comparison))
    assert [values[key] for key in ("wins", "ties", "losses", "not_tested", "left_out")] == [1, 1, 1, 0, {}]
    assert values["a"] == {"model": "a", "folder": str(three_tasks / "a"), "mean_rank": pytest.approx(5 / 3)}
    row = next(row for row in values["tasks"] if row["task"] == "zeroshot/won")
    assert row["difference"] == pytest.approx(0.45) and row["metrics"] == []
    assert as_json(compared(three_tasks)[1]) == as_json(comparison)  # seeded


@pytest.fixture
def several_metrics(tmp_path):
    """Task x: B has fewer character errors, and as many answers right. Task y: of right or wrong answers."""
    errors = {"a": [4] * 12, "b": [1] * 12}
    for model, edits in errors.items():
        columns = {"key": list(range(12)), "document": list(range(12)), "edits": edits, "answer_length": [10] * 12}
        columns |= {"anls": [0.5, 1.0] * 6}
        others = [
            metric("character_error_rate", edits[0] / 10, higher_is_better=False),
            metric("f1", 0.5),
            metric("anls_compat", 0.75),
        ]
        write(tmp_path, model, "docvqa/x", "anls", 0.75, columns, others)
    write_accuracy(tmp_path, "zeroshot/y", *right_or_wrong(0, 6))
    return tmp_path


def test_every_metric_with_a_paired_test_is_shown_beside_the_primary_one(several_metrics):
    tasks, comparison = compared(several_metrics)
    (errors,) = tasks["docvqa/x"].others  # f1 is not in the table, and there is no column anls_compat
    assert (errors.metric, errors.higher_is_better) == ("character_error_rate", False)
    assert errors.difference == pytest.approx(-0.3) and errors.ci95 == pytest.approx((-0.3, -0.3))
    assert errors.p == pytest.approx(2 / 2**12, abs=0.001)
    assert tasks["zeroshot/y"].others == ()
    values = json.loads(as_json(comparison))
    (other,) = next(task["metrics"] for task in values["tasks"] if task["task"] == "docvqa/x")
    assert (other["metric"], other["p"], other["difference"]) == (errors.metric, errors.p, errors.difference)
    assert "adjusted_p" not in other and "outcome" not in other


def test_holm_is_over_the_primary_metrics_alone(several_metrics):
    """The small p of the character error rate neither wins a task nor costs another task its win."""
    tasks, comparison = compared(several_metrics)
    assert (tasks["docvqa/x"].p, tasks["docvqa/x"].outcome) == (1, "tie")
    assert tasks["zeroshot/y"].adjusted_p == pytest.approx(2 * stats.binomtest(0, 6).pvalue)  # of two tests
    text = as_text(comparison)
    assert "unadjusted p" in text and "their p is not adjusted" in text
    row = next(line for line in text.splitlines() if "character error rate, lower is better" in line)
    assert [part.strip() for part in row.split("|")[3:8]] == [
        "permutation of documents",
        "12",
        "40.00",
        "10.00",
        "-30.00",
    ]


def test_samples_that_do_not_give_another_metrics_value_are_refused(several_metrics):
    write_accuracy(several_metrics, "zeroshot/z", *right_or_wrong(2, 4))
    result = make_result("b", "zeroshot/z", [metric("acc1", 14 / 24), metric("mean_top1_top5", 0.1)])
    other = make_result("a", "zeroshot/z", [metric("acc1", 12 / 24), metric("mean_top1_top5", 18 / 24)])
    for record, ranks in ((other, [1] * 12 + [2] * 12), (result, [1] * 14 + [2] * 10)):
        columns = {"key": [f"s{n}" for n in range(24)], "rank": ranks}
        ResultStore(several_metrics).write(record, columns)
    tasks, comparison = compared(several_metrics)
    assert "b/outcomes/zeroshot__z." in comparison.left_out["zeroshot/z"] and "zeroshot/z" not in tasks
    assert ".npz is not of its record: got mean_top1_top5 0.79" in comparison.left_out["zeroshot/z"]


@pytest.mark.parametrize(
    "changes, what",
    [
        ({"dataset": {"fingerprint": "e" * 64}}, "data fingerprint 'dddd"),
        ({"task": {"version": 2}}, "task version 1 and 2"),
        ({"task": {"settings": {"layer": "projected"}}}, "settings.layer 'penultimate' and 'projected'"),
        ({"task": {"settings": {"shots": 4}}}, "settings.shots None and 4"),
        ({"task": {"protocol_version": 2}}, "protocol version None and 2"),
        ({"limit": 10}, "limit None and 10"),
        ({"seed": 1}, "seed 0 and 1"),
        ({"details": {"prompts": "its own"}}, "prompts None and 'its own'"),
    ],
)
def test_what_differs_is_not_paired(tmp_path, changes, what):
    write_accuracy(tmp_path, "linear_probe/x", *right_or_wrong(2, 4))
    plain = read(tmp_path / "b" / "linear_probe__x.json")
    for field, value in changes.items():
        old = getattr(plain, field)
        new = old.model_copy(update=value) if hasattr(old, "model_copy") else value
        plain = plain.model_copy(update={field: new})
    ResultStore(tmp_path).write(plain)
    with pytest.raises(DataError, match="have no task to compare: linear_probe/x: it differs in " + what):
        compared(tmp_path)
    write_accuracy(tmp_path, "linear_probe/y", *right_or_wrong(2, 4))  # one such task does not spoil the others
    tasks, comparison = compared(tmp_path)
    assert list(tasks) == ["linear_probe/y"] and what in comparison.left_out["linear_probe/x"]


@pytest.mark.parametrize("mode, refused", [("probe", True), ("native", False)])
def test_the_seed_matters_where_something_is_trained(tmp_path, mode, refused):
    task = TaskRecord(name="refcoco/x", version=1, protocol="refcoco", settings={"mode": mode})
    columns = {"key": [1, 2], "image": ["x", "y"], "intersection": [1, 2], "union": [2, 2]}
    for seed, model in enumerate("ab"):
        write(tmp_path, model, "refcoco/x", "overall_iou", 3 / 4, columns, task=task, seed=seed)
    if refused:
        with pytest.raises(DataError, match="it differs in seed 0 and 1"):
            compared(tmp_path)
    else:
        assert compared(tmp_path)[0]["refcoco/x"].p == 1
