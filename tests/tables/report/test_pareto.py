"""The chart of accuracy by size, by geometry worked by hand."""

import re
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from conftest import make_result, metric

from mlcd_eval.tables.report import pareto
from mlcd_eval.tables.report.charts import ticks
from mlcd_eval.tables.report.pareto import _log_ticks


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


def standing(value=0.9, higher=True, **changes):
    of = SimpleNamespace(name="acc1", higher_is_better=higher)
    return Standing(make_result("mine", "zeroshot/x", [metric("acc1", value)]), of, value, OTHERS, **changes)


def test_sizes_run_on_a_log_scale_and_only_the_best_of_their_size_are_on_the_edge():
    """A field from (52, 10) to (302, 182); values from 0.4 to 0.9, so that 0.1 is 34.4 pixels."""
    (figure,) = pareto.pareto([standing(same_model=OTHERS[:1])])
    svg = str(figure.svg)
    assert figure.caption == "zeroshot/x acc1, per cent, by GFLOPs"
    assert f'aria-label="{figure.caption}: 3 published models; mine: 90.00 at 10.0"' in svg
    assert 'width="320" height="220"' in svg
    assert 'd="M52.0,147.6h0M177.0,182.0h0M302.0,44.4h0" class="dots s7"' in svg
    assert 'd="M52.0,147.6L302.0,44.4" class="line s0"' in svg
    corners = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="3.5" class="line s0"><title>(.*?)</title>', svg)
    assert corners == [("52.0", "147.6", "S: 50.00"), ("302.0", "44.4", "L: 80.00")]
    assert 'd="M177.0,3.0l7,7l-7,7l-7,-7z" class="line s1"><title>mine: 90.00</title>' in svg
    heights = re.findall(r'y1="([\d.]+)"', svg)
    assert heights == ["182.0", "147.6", "113.2", "78.8", "44.4", "10.0"]
    assert re.findall(r'text-anchor="end">(\d+)<', svg) == ["40", "50", "60", "70", "80", "90"]
    below = re.findall(r'<text x="([\d.]+)" y="(\d+)" text-anchor="middle">([^<]*)<', svg)
    assert below == [
        ("52.0", "200", "1"),
        ("177.0", "200", "10"),
        ("302.0", "200", "100"),
        ("178.0", "216", "GFLOPs, log scale"),
    ]


def test_where_less_is_better_the_edge_is_below():
    (figure,) = pareto.pareto([standing(higher=False)])
    assert 'd="M52.0,147.6L177.0,182.0" class="line s0"' in str(figure.svg)


def test_there_are_two_axes_and_a_chart_for_each_task_and_metric():
    numbers = tuple(Number(str(n), 0.5, 5.0, 10.0 ** (n + 2)) for n in range(3))
    both = Standing(
        make_result("a", "zeroshot/y"),
        SimpleNamespace(name="acc1", higher_is_better=True),
        0.5,
        numbers,
        parameters=100.0,
    )
    first, second = pareto.pareto([both])
    assert [first.caption, second.caption] == [
        f"zeroshot/y acc1, per cent, by {unit}" for unit in ("GFLOPs", "parameters (M)")
    ]
    assert "h0M52.0,96.0h0" in str(first.svg) or "M52.0" in str(first.svg)
    assert ">1,000<" in str(second.svg) and 'y1="96.0"' in str(second.svg)  # one value alone is in the middle
    assert len(pareto.pareto([standing(), standing(), both])) == 3


def test_too_little_to_see_is_not_drawn():
    assert pareto.pareto([standing(gflops=None)]) == []
    few = standing()
    few.others = OTHERS[:2]
    assert pareto.pareto([few]) == [] and pareto.pareto([]) == []


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 10, [1, 2, 5, 10]),
        (2, 5, [2, 5]),
        (0.5, 7, [0.5, 1, 2, 5]),
        (1, 20, [1, 2, 5, 10, 20]),
        (0.9, 60, [1, 10]),
        (3, 4, []),
    ],
)
def test_ticks_of_a_log_scale(low, high, expected):
    assert _log_ticks(low, high) == pytest.approx(expected)
    assert ticks(1, 1) == [1]
