"""Who leads each task, and models over all tasks, by hand-made records and outcomes."""

import numpy as np
import pytest
from conftest import make_result, metric
from scipy import stats

from mlcd_eval.records import ResultStore, read_files
from mlcd_eval.tables.comparison import contest as module
from mlcd_eval.tables.comparison.chance import chance, corrected
from mlcd_eval.tables.comparison.contest import contests, led
from mlcd_eval.tables.comparison.overall import DRAWS, overall, rectangle

N = 200


def write(output, model, task, num_right, outcomes=True, rows=None):
    """num_right samples are right, the first ones, or those of `rows`."""
    right = np.zeros(N, bool)
    right[np.arange(num_right) if rows is None else rows] = True
    value = float(right.mean())
    half = 1.96 * np.sqrt(value * (1 - value) / N)
    result = make_result(model, task, [metric("acc1", value, (value - half, value + half))])
    samples = {"key": [f"s{n}" for n in range(N)], "rank": np.where(right, 1, 2).tolist()}
    return ResultStore(output).write(result, samples if outcomes else None)


def read(output):
    pairs = read_files([output])
    return contests([result for _, result in pairs], [file for file, _ in pairs])


def test_ties_are_what_mcnemars_test_adjusted_by_holm_does_not_tell_from_the_best(tmp_path):
    for model, num_right in (("best", 150), ("near", 146), ("middle", 142), ("far", 100)):
        write(tmp_path, model, "zeroshot/x", num_right)
    ((x), (leading,)) = read(tmp_path), led(read(tmp_path))
    p = {model: stats.binomtest(0, 150 - n).pvalue for model, n in (("near", 146), ("middle", 142), ("far", 100))}
    assert p["near"] > 0.05 > p["middle"] * 2 > p["far"] * 3  # Holm's factors
    assert (leading.best, leading.tied, leading.untested) == ("best", {"near"}, {})
    assert x[0].order == ["best", "near", "middle", "far"]


def test_without_outcomes_nothing_is_marked_and_it_is_said_why(tmp_path):
    write(tmp_path, "a", "zeroshot/x", 150)
    write(tmp_path, "b", "zeroshot/x", 149, outcomes=False)
    assert led(read(tmp_path))[0].untested == {"b": "its record has no outcomes of samples"}
    write(tmp_path, "a", "zeroshot/y", 150, outcomes=False)
    write(tmp_path, "b", "zeroshot/y", 149)
    y = next(leading for leading, each in zip(led(read(tmp_path)), read(tmp_path), strict=True) if each.task[-1] == "y")
    assert y.tied == set() and y.untested == {"b": "of the best, a: its record has no outcomes of samples"}
    in_memory = contests([result for _, result in read_files([tmp_path])])
    assert all(leading.untested for leading in led(in_memory))


def test_a_page_makes_no_end_of_tests(tmp_path, monkeypatch):
    for model in "abc":
        write(tmp_path, model, "zeroshot/x", 150)
    monkeypatch.setattr(module, "MOST_TESTS", 1)
    (leading,) = led(read(tmp_path))
    assert leading.untested == {"b": "there are too many models", "c": "there are too many models"}


def test_only_what_was_measured_alike_is_in_one_column(tmp_path, failed_result):
    full, part = make_result("a", "zeroshot/x"), make_result("b", "zeroshot/x", limit=10)
    undefined = make_result("c", "zeroshot/x", [metric("acc1", None)])
    found = contests([full, part, undefined, failed_result])
    assert [(each.name, list(each.entries)) for each in found] == [
        ("zeroshot/x", ["a"]),
        ("zeroshot/x [limit 10]", ["b"]),
    ]


def test_ranks_and_scores_over_tasks(tmp_path):
    for task, numbers in (("x", (160, 120, 80)), ("y", (150, 100, 50)), ("z", (90, 100, 95))):
        for model, number in zip("abc", numbers, strict=True):
            write(tmp_path, model, f"zeroshot/{task}", number)
    whole = overall(read(tmp_path))
    ranks = {model: each.rank for model, each in whole.models.items()}
    assert ranks == pytest.approx({"a": (1 + 1 + 3) / 3, "b": (2 + 2 + 1) / 3, "c": (3 + 3 + 2) / 3})
    a = np.mean([(value - 1 / 4) / (3 / 4) for value in (0.8, 0.75, 0.45)])  # of four classes
    assert whole.models["a"].score == pytest.approx(a)
    assert (whole.tasks, whole.scored, whole.together) == (["zeroshot/x", "zeroshot/y", "zeroshot/z"], whole.tasks, 3)
    for each in whole.models.values():
        assert each.rank_ci95[0] <= each.rank <= each.rank_ci95[1] and 1 <= each.rank_ci95[0] < each.rank_ci95[1] <= 3
        assert each.score_ci95[0] < each.score < each.score_ci95[1]
    assert overall(read(tmp_path)) == whole  # seeded


def test_an_interval_is_over_tasks_and_samples(tmp_path):
    """Of one score per task its width is that of the bootstrap over tasks with the samples' noise added."""
    numbers = (60, 120, 100, 140, 90, 110)
    for place, number in enumerate(numbers):
        write(tmp_path, "a", f"zeroshot/t{place}", number)
        write(tmp_path, "b", f"zeroshot/t{place}", number, rows=np.arange(N - number, N))
    low, high = overall(read(tmp_path)).models["a"].score_ci95
    shares = np.array(numbers) / N
    variance = shares.var() + (shares * (1 - shares) / N).mean()
    width = 2 * 1.96 * np.sqrt(variance / len(numbers)) / (3 / 4)
    assert high - low == pytest.approx(width, rel=4 / np.sqrt(2 * DRAWS))


def test_the_interval_of_a_rank_at_the_end_holds_it():
    """Of 30 models a tenth of an interval apart the draws of the best one all rank it lower."""
    results = [
        make_result(
            f"m{place}", f"zeroshot/{task}", [metric("acc1", value := 0.5 + place / 100, (value - 0.1, value + 0.1))]
        )
        for task in "wxyz"
        for place in range(30)
    ]
    standing = overall(contests(results))
    for each in standing.models.values():
        assert each.rank_ci95[0] <= each.rank <= each.rank_ci95[1]
        assert each.score_ci95[0] <= each.score <= each.score_ci95[1]
    best = standing.models["m29"]
    assert best.rank == best.rank_ci95[0] == 1 and best.rank_ci95[1] > 5


def test_equal_models_that_err_alike_keep_their_ranks(tmp_path):
    """B is right wherever A is, and once more: no draw of samples puts A ahead. Drawn apart, many would."""
    for task in "xyz":
        write(tmp_path, "a", f"zeroshot/{task}", 100)
        write(tmp_path, "b", f"zeroshot/{task}", 103)
    together = overall(read(tmp_path))
    assert together.models["a"].rank_ci95[0] > 1.5 and together.together == 3
    (tmp_path / "a" / "outcomes").rename(tmp_path / "a" / "lost")
    apart = overall(read(tmp_path))
    assert apart.models["a"].rank_ci95[0] == 1 and apart.together == 0


def test_the_models_and_tasks_that_are_ranked_are_as_many_as_there_are(tmp_path):
    for model, tasks in (("a", "wxyz"), ("b", "xyz"), ("c", "xyz"), ("d", "x"), ("e", "q")):
        for task in tasks:
            write(tmp_path, model, f"zeroshot/{task}", 100)
    tasks, models = rectangle(read(tmp_path))
    assert ([each.task for each in tasks], models) == (["zeroshot/x", "zeroshot/y", "zeroshot/z"], ["a", "b", "c"])
    assert set(overall(read(tmp_path)).models) == {"a", "b", "c"}
    assert overall(contests([make_result("a", "zeroshot/x"), make_result("b", "zeroshot/y")])) is None
    assert overall([]) is None


@pytest.mark.parametrize(
    ("name", "details", "expected"),
    [
        ("acc1", {}, 1 / 4),
        ("acc5", {}, 1.0),
        ("mean_top1_top5", {}, 5 / 8),
        ("knn_acc1@20", {}, 1 / 4),
        ("roc_auc", {}, 0.5),
        ("nmi", {}, 0.0),
        ("overall_iou", {}, 0.0),
        ("image_to_text_recall@5", {"num_images": 100}, 0.05),
        ("image_to_text_recall@5", {}, None),
        ("macro_text_to_image_recall@10", {"num_images": 100}, 0.1),
        ("macro_acc1", {"chance": {"macro_acc1": 0.01}}, 0.01),
        ("gap", {"chance": {"gap": 0.02}}, 0.02),
        ("miou", {}, 0.0),
        ("group_accuracy", {"chance": {"group_accuracy": 1 / 6}}, 1 / 6),
        ("map_11point", {}, None),
    ],
)
def test_chance(name, details, expected):
    assert chance(make_result(metrics=[metric(name, 0.5)], details=details), metric(name, 0.5)) == expected


def test_what_has_no_best_value_of_one_has_no_chance():
    assert chance(make_result(), metric("acc1", 0.5, unit="points")) is None
    assert chance(make_result(), metric("acc1", 0.5, higher_is_better=False)) is None
    assert [corrected(value, 0.25) for value in (0.25, 1.0, 0.0)] == [0.0, 1.0, -1 / 3]
