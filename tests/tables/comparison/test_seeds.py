"""Seeds of a model as one, by values whose mean and deviation are worked out by hand and by scipy."""

import re

import pytest
from conftest import make_result, metric
from scipy import stats

from mlcd_eval.errors import ConfigError
from mlcd_eval.tables.comparison.contest import contests
from mlcd_eval.tables.comparison.overall import overall
from mlcd_eval.tables.comparison.seeds import Runs, grouped, leading, pattern, together

VALUES = {"a_seed0": 0.70, "a_seed1": 0.74, "a_seed2": 0.78, "b_seed0": 0.60, "b_seed1": 0.72, "c": 0.9, "d_seed7": 0.5}


def made(values=VALUES, task="zeroshot/x"):
    return [
        make_result(model, task, [metric("acc1", value, (value - 0.1, value + 0.1))]) for model, value in values.items()
    ]


def test_mean_deviation_and_interval_over_seeds():
    (contest,) = together(contests(made()), pattern(None))
    assert list(contest.entries) == ["a", "b", "c", "d"]
    a, b = contest.entries["a"], contest.entries["b"]
    # deviations from 0.74: -0.04, 0, 0.04; squares sum to 0.0032, over n - 1 = 2: 0.0016
    assert (a.value, a.deviation) == (pytest.approx(0.74), pytest.approx(0.04))
    assert a.metric.ci95 == pytest.approx(stats.t.interval(0.95, 2, 0.74, stats.sem([0.70, 0.74, 0.78])))
    assert (b.value, b.deviation) == (pytest.approx(0.66), pytest.approx(0.12 / 2**0.5))
    assert list(a.members) == ["a_seed0", "a_seed1", "a_seed2"]
    for alone, value in (("c", 0.9), ("d", 0.5)):  # their deviation is not known
        entry = contest.entries[alone]
        assert not isinstance(entry, Runs) and entry.value == value and entry.metric.ci95 == (value - 0.1, value + 0.1)


def test_a_seed_without_the_task_is_not_counted():
    results = made() + made({"a_seed0": 0.1, "a_seed1": 0.3, "b_seed0": 0.2}, "zeroshot/y")
    _, y = together(contests(results), pattern(None))
    assert len(y.entries["a"].members) == 2 and y.entries["a"].value == pytest.approx(0.2)
    assert not isinstance(y.entries["b"], Runs) and "c" not in y.entries


def test_only_names_with_a_seed_are_put_together_and_none_is_taken_twice():
    names = ["mlcd", "mlcd_seed0", "mlcd_seed1", "x-seed=3-lit", "x-seed=4-lit", "seedling", "y.seed10", "seed1"]
    assert grouped(names, pattern(None)) == {
        "mlcd_seed0": "mlcd (runs)",
        "mlcd_seed1": "mlcd (runs)",
        "x-seed=3-lit": "x-lit",
        "x-seed=4-lit": "x-lit",
        "y.seed10": "y",
    }
    assert grouped(["a@1", "a@2"], pattern("@.")) == {"a@1": "a", "a@2": "a"}
    assert together(contests(made({"a_seed0": 0.5, "b_seed0": 0.6, "c": 0.7})), pattern(None)) == []


@pytest.mark.parametrize(("text", "why"), [("seed[", "no regular expression"), ("x*", "matches nothing at all")])
def test_an_expression_that_is_none_is_refused(text, why):
    with pytest.raises(ConfigError, match=rf"--group: got {re.escape(repr(text))}, which.*{why}.*expected.*seed"):
        pattern(text)


def test_groups_are_told_apart_by_welchs_test():
    values = {"a_seed0": 0.90, "a_seed1": 0.91, "a_seed2": 0.92}
    values |= {"b_seed0": 0.89, "b_seed1": 0.91, "b_seed2": 0.90, "c_seed0": 0.50, "c_seed1": 0.51, "d": 0.1}
    (contest,) = together(contests(made(values)), pattern(None))
    led = leading(contest)
    a, b, c = ([values[name] for name in values if name[0] == group] for group in "abc")
    assert stats.ttest_ind(a, b, equal_var=False).pvalue > 0.05 > 2 * stats.ttest_ind(a, c, equal_var=False).pvalue
    assert (led.best, led.tied) == ("a", {"b"}) and set(led.untested) == {"d"}


def test_equal_seeds_are_tied_with_equal_ones_alone():
    values = {f"{name}_seed{seed}": value for name, value in (("a", 0.9), ("b", 0.9), ("c", 0.8)) for seed in (0, 1)}
    (contest,) = together(contests(made(values)), pattern(None))
    assert leading(contest).tied == {"b"}


def test_ranks_are_of_means():
    results = made({"a_seed0": 0.5, "a_seed1": 0.9, "b_seed0": 0.6, "b_seed1": 0.6, "c": 0.65})
    results += made({"a_seed0": 0.5, "a_seed1": 0.7, "b_seed0": 0.8, "b_seed1": 0.8, "c": 0.65}, "zeroshot/y")
    standing = overall(together(contests(results), pattern(None)))
    assert {name: each.rank for name, each in standing.models.items()} == {
        "a": 2.0,
        "b": 2.0,
        "c": 2.0,
    }  # 1 3, 3 1, 2 2


def test_the_interval_of_a_rank_holds_it_and_uses_the_error_of_a_mean_over_seeds():
    """Two seeds with values 0.02 apart have a t interval of 0.25 around their mean, and a standard error of 0.01."""
    results = []
    for task in ("knn/u", "knn/v", "knn/w", "knn/x"):
        results += made(
            {
                f"{name}_seed{seed}": 0.3 + 0.05 * place + 0.02 * seed
                for place, name in enumerate("abcdefgh")
                for seed in (0, 1)
            },
            task,
        )
    groups = together(contests(results), pattern(None))
    assert groups[0].entries["a"].error == pytest.approx(0.01)
    standing = overall(groups)
    for place, name in enumerate("abcdefgh"):
        each = standing.models[name]
        assert each.rank == 8 - place
        assert each.rank_ci95[0] <= each.rank <= each.rank_ci95[1]
        assert each.rank_ci95[1] - each.rank_ci95[0] < 0.5  # neighbours are 3.5 errors of a difference apart
