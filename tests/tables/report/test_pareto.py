"""The chart of accuracy by size."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from conftest import make_result

from mlcd_eval.tables.report import pareto


@dataclass(frozen=True)
class Number:
    label: str
    value: float
    gflops: float | None
    parameters: float | None = None

    @property
    def fraction(self):
        return self.value


@dataclass
class Standing:
    result: object
    metric: object
    value: float
    others: tuple
    same_model: tuple = ()
    gflops: float | None = 10.0
    parameters: float | None = None

    def size(self, by):
        return getattr(self, by)


@pytest.fixture(autouse=True)
def plain_numbers(monkeypatch):
    monkeypatch.setattr(pareto, "size_of", getattr)
    monkeypatch.setattr(pareto, "fraction", lambda number: number.value)


OTHERS = (Number("S", 0.5, 1.0), Number("M", 0.4, 10.0), Number("L", 0.8, 100.0), Number("?", 0.9, None))


def value(name, higher=True):
    return SimpleNamespace(name=name, higher_is_better=higher, unit="fraction", ci95=None)


def standing(higher=True, **changes):
    return Standing(make_result("mine", "zeroshot/x"), value("acc1", higher), 0.9, OTHERS, **changes)


def places(series):
    return [(point.x, point.y, point.note) for point in series.points]


def test_the_best_of_their_size_are_joined_and_the_records_have_marks_of_their_own():
    [chart] = pareto.pareto([standing(same_model=OTHERS[:1])])
    assert chart.title == "zeroshot/x acc1 by GFLOPs" and chart.x.scale == "log"
    published, own, front = chart.series
    assert places(published) == [(1.0, 0.5, "S"), (10.0, 0.4, "M"), (100.0, 0.8, "L")]
    assert places(own) == [(10.0, 0.9, "mine")]
    assert places(front) == [(1.0, 0.5, "S"), (100.0, 0.8, "L")] and front.line


def test_where_less_is_better_the_front_is_below():
    [chart] = pareto.pareto([standing(higher=False)])
    assert places(chart.series[2]) == [(1.0, 0.5, "S"), (10.0, 0.4, "M")]


def test_there_are_two_axes_and_a_chart_for_each_task_and_metric():
    numbers = tuple(Number(str(n), 0.5, 5.0, 10.0 ** (n + 2)) for n in range(3))
    both = Standing(make_result("a", "zeroshot/y"), value("acc1"), 0.5, numbers, parameters=100.0)
    first, second = pareto.pareto([both])
    assert [first.title, second.title] == [f"zeroshot/y acc1 by {unit}" for unit in ("GFLOPs", "parameters (M)")]
    assert [x for x, _, _ in places(second.series[0])] == [100.0, 1000.0, 10000.0]
    assert len(pareto.pareto([standing(), standing(), both])) == 3


def test_too_little_to_see_is_not_drawn():
    assert pareto.pareto([standing(gflops=None)]) == []
    few = standing()
    few.others = OTHERS[:2]
    assert pareto.pareto([few]) == [] and pareto.pareto([]) == []
