"""docs/comparability.md: the dialects of each protocol, what they change, and public numbers of the same weights.

python benchmarks/comparability_page.py                                       writes the page again
python benchmarks/comparability_page.py --measure [PROTOCOL...] [--model SPEC] measures first, on the bundled data
Every number of the page comes from benchmarks/results/comparability.json, from the code or from the atlas;
tests/docs/test_comparability.py writes the page again and compares.
"""

import argparse
import itertools
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from mlcd_eval import evaluate
from mlcd_eval.metrics.base import Metric
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.records import ResultStore
from mlcd_eval.spec import TaskIndex, TaskSpec
from mlcd_eval.tables.explaining.explain import paired_interval
from mlcd_eval.tables.published import PublishedNumber, tables
from mlcd_eval.tables.published.number import PRINTED_MEAN
from mlcd_eval.tables.published.standing import SAME_QUESTION
from mlcd_eval.tables.text import cell, markdown_table, shown, shown_difference, shown_metric

ROOT = Path(__file__).parents[1]
PAGE, MEASURED = ROOT / "docs/comparability.md", ROOT / "benchmarks/results/comparability.json"
MODEL = "open_clip:local-dir:../shared/models/tiny_clip"
DEFAULT = "the task's own"
LEAST_TABLES, MOST_WEIGHTS = 3, 12
LEAST_PAIRS, MOST_ROWS = 2, 24


def with_dialects() -> list[str]:
    """The protocols that have dialects which `explain` measures."""
    return [name for name in PROTOCOLS if any(each.explains for each in get_protocol(name).dialects.values())]


def measure(model: str, protocols: Sequence[str]) -> dict[str, Any]:
    """Protocol -> what each of its dialects, and each value of a factor alone, gives on its bundled task."""
    demo = {task.protocol: task.name for task in TaskIndex.load().tasks.values() if "demo" in task.tags}
    with tempfile.TemporaryDirectory() as folder:
        return {protocol: _measure(model, demo[protocol], Path(folder)) for protocol in protocols}


def _measure(model: str, task: str, folder: Path) -> dict[str, Any]:
    from mlcd_eval.running.explaining.lattice import open_lattice

    (own,) = evaluate(model, task, output=folder / "runs", cache=folder / "cache", workers=0)
    places = {"cache": folder / "cache", "output": folder / "runs"}
    lattice = open_lattice(own, ResultStore(folder / "runs").path(own), places, {}, allow_code=True)
    factors = lattice.factors
    alone = [
        (factor, value, tuple(place if name == factor else 0 for name in factors.values))
        for factor, values in factors.values.items()
        for place, value in enumerate(values)
        if place
    ]
    results = lattice.results([*factors.named.values(), *(point for *_, point in alone)])

    def row(point: tuple[int, ...]) -> dict[str, Any]:
        metric = results[point].primary
        ends = paired_interval(lattice, point, own.primary, metric)
        return {"metric": metric.model_dump(mode="json"), "difference_ci95": ends}

    return {
        "model": own.model.name,
        "task": own.task.name,
        "samples": own.dataset.num_samples,
        "dialects": {name: row(point) for name, point in factors.named.items() if point in results},
        "factors": [
            {"factor": factor, "value": value, **row(point)} for factor, value, point in alone if point in results
        ],
    }


def page(text: str, measured: Mapping[str, Any]) -> str:
    """The page with its generated parts, each between `<!-- NAME -->` and `<!-- end -->`, written again."""
    parts = {
        "weights": _weights("zeroshot/imagenet"),
        "protocols": "\n\n".join(_section(protocol, measured[protocol]) for protocol in with_dialects()),
    }
    for name, part in parts.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("\n<!-- end -->")
        assert begin and end, f"docs/comparability.md has the marks of {name}"
        text = f"{before}{begin}\n{part}\n{end}{after}"
    return text


def _section(protocol: str, measured: Mapping[str, Any]) -> str:
    dialects = get_protocol(protocol).dialects
    meant = [
        [f"`{name}`", cell(_settings(dialect.settings)), cell(dialect.source), cell(dialect.differs) or "-"]
        for name, dialect in dialects.items()
    ]
    parts = [
        f"## {protocol}",
        markdown_table(["dialect", "settings", "as in", "what still differs"], meant, left=4).rstrip("\n"),
        f"On `{measured['task']}` ({measured['samples']} samples) with {measured['model']}, in per cent, differences "
        "in points with their paired 95% interval where the metric is the same:",
        _measured(measured).rstrip("\n"),
    ]
    public = _public(protocol)
    if public:
        parts += [
            "Public numbers of the same weights in two sources of the atlas, the largest differences first: B minus A "
            "in points, over the models that both have; of several numbers, such as a grid of probes, the best.",
            public.rstrip("\n"),
        ]
    return "\n\n".join(parts)


def _measured(measured: Mapping[str, Any]) -> str:
    own = measured["dialects"][DEFAULT]["metric"]
    rows = [
        [f"`{name}`" if name != DEFAULT else name, *_difference(row, own)] for name, row in measured["dialects"].items()
    ]
    rows += [
        [cell(f"{row['factor']} = {_value(row['value'])} alone"), *_difference(row, own)] for row in measured["factors"]
    ]
    return markdown_table(["dialect", "metric", "value", "difference", "95% interval"], rows, left=2)


def _difference(row: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    metric, ends = Metric(**row["metric"]), row["difference_ci95"]
    interval = f"[{', '.join(map(shown_difference, ends))}]" if ends else "-"
    return [metric.name, shown_metric(metric), shown_difference(metric.value - own["value"]), interval]


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in settings.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=lambda model: model.model_dump(mode="json"))


Side = tuple[str, str]
"""A source and, for probes, the shots."""


def _public(protocol: str) -> str:
    """A row per task and pair of sources that have the same weights."""
    rows = []
    for task, sides in _by_task(protocol).items():
        for a, b in itertools.combinations(sorted(sides), 2):
            gaps = [100 * (sides[b][key] - sides[a][key]) for key in sides[a].keys() & sides[b].keys()]
            if a[0] != b[0] and len(gaps) >= LEAST_PAIRS:
                shared = [f"{len(gaps)}", *(f"{summary(gaps):+.1f}" for summary in (mean, min, max))]
                rows.append((-abs(mean(gaps)), [task, *(" ".join(filter(None, side)) for side in (a, b)), *shared]))
    if not rows:
        return ""
    header = ["task", "A", "B", "models", "mean", "least", "most"]
    return markdown_table(header, [row for _, row in sorted(rows)[:MOST_ROWS]], left=3)


def _by_task(protocol: str) -> dict[str, dict[Side, dict[str, float]]]:
    """Task -> source -> model -> its number, of the metric that the task ranks by; of tasks in several tables."""
    tasks = TaskIndex.load().tasks
    count = Counter(place for table in tables().values() for place in table.places)
    shared = {place for place in count if count[place] > 1 and place in tasks and place.startswith(f"{protocol}/")}
    known: dict[str, dict[Side, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for number in (number for table in tables().values() for number in table.numbers(place=shared.__contains__)):
        if number.identity is not None and number.fraction is not None and _ranks(number, tasks[number.place]):
            shots = number.dialect.shots
            values = known[number.place][tables()[number.group].source, "" if shots is None else f"{shots} shots"]
            values[number.identity.key] = max(values.get(number.identity.key, 0.0), number.fraction)
    return known


def _ranks(number: PublishedNumber, task: TaskSpec) -> bool:
    usual = {"retrieval": "image_to_text_recall@1"}.get(task.protocol, task.settings.get("metric") or "acc1")
    return number.metric == usual or {number.metric, usual} <= SAME_QUESTION


def _weights(task: str) -> str:
    """A row per model with numbers in at least three tables, and its number in each."""
    known: dict[str, dict[str, list[PublishedNumber]]] = defaultdict(lambda: defaultdict(list))
    for table in tables().values():
        for number in table.numbers(place=lambda place: place == task):
            if number.identity and number.fraction is not None and number.metric not in (PRINTED_MEAN, "acc5"):
                known[number.identity.key][number.group].append(number)
    models = {key: groups for key, groups in known.items() if len(groups) >= LEAST_TABLES}
    chosen = sorted(models, key=lambda key: (-len(models[key]), key))[:MOST_WEIGHTS]
    columns = sorted({group for key in chosen for group in models[key]})
    rows = [[f"`{key}`", *(_cell(models[key].get(column, ())) for column in columns)] for key in chosen]
    return markdown_table(["weights", *columns], rows).rstrip("\n")


def _cell(numbers: Sequence[PublishedNumber]) -> str:
    first = [number for number in numbers if number.metric == "acc1"] or list(numbers)
    return ", ".join(dict.fromkeys(shown(number.fraction, decimals=1) for number in first)) or "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs="*", metavar="PROTOCOL")
    parser.add_argument("--model", default=MODEL)
    args = parser.parse_args()
    if args.measure is not None:
        known = json.loads(MEASURED.read_text()) | measure(args.model, args.measure or with_dialects())
        MEASURED.write_text(json.dumps({name: known[name] for name in with_dialects()}, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), json.loads(MEASURED.read_text())))


if __name__ == "__main__":
    main()
