"""The charts of the study's page: the two terms of the loss, measures over training, differences, calibration, cost."""

from dataclasses import replace

import numpy as np
from study_design import GIVEN, GRADIENTS, QUALITIES, SCALE, SCALES, TRAINED, Cell
from study_measures import BINS

from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series
from mlcd_eval.tables.report.panels import Panel

OBJECTIVES = ("mlcd", "mlc", "unicom", "multi_softmax", "bce")
LEAST = 20  # pairs of a bin that the chart of calibration shows


def panels(records, tests):
    """Panels that have something to show. tests: {family: tests}. What starts from another model's tower is drawn as
    what starts from a trained one is; a folder has records of one of both."""
    longer = sorted({cell.longer for cell in records} - {1})
    drawn = [
        Panel(
            "phases",
            "Phases of the loss",
            "Each line is the way of trainings from the first logged step to the last, a mean over seeds: A = log sum "
            "exp(-s) of an image's own classes, B = log sum exp(s) of the others. Where both are far above 0, MLCD is "
            "MLC, A + B, which does not change if all cosines move together: then A falls as B rises, down a diagonal. "
            "A term below 0 hardly learns any more. Exact labels.",
            lambda _: (),
            charts=[
                *(phases(records, scale, gradient) for scale in SCALES for gradient in GRADIENTS),
                *(phases(records, SCALES[0], GRADIENTS[0], times) for times in longer),
            ],
        ),
        Panel(
            "differences",
            "Differences",
            "Of mAP on new scenes after the longest training, with 95% intervals by the families' pooled deviation "
            "over seeds.",
            lambda _: (),
            charts=[forest(name, found) for name, found in tests.items() if found],
        ),
        Panel(
            "lengths",
            "Measures over training",
            "mAP of cosines with class rows on new scenes, mean over seeds.",
            lambda _: (),
            charts=[lengths(records, quality) for quality in QUALITIES],
        ),
        Panel(
            "calibration",
            "Calibration of labels",
            "Pairs of a train image and a class, by their cosine after training: the share in which the class is truly "
            f"in the image. Bins of fewer than {LEAST} pairs are left out.",
            lambda _: (),
            charts=[calibration(records, "wrong_added", "given"), calibration(records, "half_missing", "not_given")],
        ),
        Panel(
            "cost",
            "Cost",
            "CPU seconds of a training against what it reaches, exact labels; mean over seeds.",
            lambda _: (),
            charts=[cost(records)],
        ),
    ]
    kept = [replace(panel, charts=[chart for chart in panel.charts if chart.series]) for panel in drawn]
    return [panel for panel in kept if panel.charts]


def _of(records, cell):
    starts = {GIVEN: TRAINED}
    return [
        record
        for other, record in records.items()
        if replace(other, seed=0, start=starts.get(other.start, other.start)) == cell
    ]


def phases(records, scale, gradient, longer=1):
    """A against B over training."""
    series = []
    for objective in OBJECTIVES[:4]:
        own = _of(records, Cell(objective, "exact", scale, gradient, longer=longer))
        lines = [[(line["positive"], line["negative"]) for line in record["curve"]] for record in own]
        if lines:
            means = np.mean(np.asarray(lines, float), axis=0)  # a loss that is not finite is null in the log
            points = [Point(float(a), float(b)) for a, b in means if np.isfinite(a) and np.isfinite(b)]
            series += [Series(objective, points, line=True, dots=False)] if points else []
    title = f"scale {scale}, {gradient.replace('_', ' ')} gradient" + (
        f", {longer} times as long" if longer > 1 else ""
    )
    return Chart(title, Axis("A, own classes"), Axis("B, other classes"), series)


def forest(name, found):
    """Differences of a family."""
    points = [Point(test.difference, test.name, test.ci95) for test in found]
    titles = {
        "separation": "MLCD minus MLC",
        "gradient": "straight-through minus exact",
        "objectives": "MLCD minus others",
        "given": "from another model's tower",
        "longest": "MLCD minus MLC, longest",
    }
    names = Axis("comparison", "names", ticks=[test.name for test in found])
    return Chart(titles[name], Axis("mAP", unit="difference"), names, [Series(titles[name], points)])


def lengths(records, quality):
    """mAP by length."""
    series = []
    for objective in OBJECTIVES:
        own = _of(records, Cell(objective, quality, 0 if objective == "bce" else SCALE))
        if own:
            steps = own[0]["lengths"]
            means = np.mean([[record["measures"][str(step)]["map_test"] for step in steps] for record in own], axis=0)
            series.append(Series(objective, [Point(s, float(m)) for s, m in zip(steps, means, strict=True)], line=True))
    title = f"labels: {quality.replace('_', ' ')}"
    return Chart(title, Axis("steps", unit="count"), Axis("mAP", unit="fraction"), series)


def calibration(records, quality, which):
    """Share of true pairs by cosine."""
    centres, series = (np.arange(BINS) + 0.5) * 2 / BINS - 1, []
    for objective in OBJECTIVES:
        own = _of(records, Cell(objective, quality, 0 if objective == "bce" else SCALE))
        if not own:
            continue
        last = [record["measures"][str(record["lengths"][-1])]["calibration"][which] for record in own]
        pairs, true = (np.sum([part[key] for part in last], axis=0) for key in ("pairs", "true"))
        points = [
            Point(float(x), float(t / p), note=f"{p:,} pairs")
            for x, p, t in zip(centres, pairs, true, strict=True)
            if p >= LEAST
        ]
        if points:
            series.append(Series(objective, points, line=True))
    title = f"{which.replace('_', ' ')} labels, {quality.replace('_', ' ')}"
    return Chart(title, Axis("cosine"), Axis("true", unit="fraction"), series)


def cost(records):
    """CPU seconds against mAP."""
    series = []
    for objective in OBJECTIVES:
        own = _of(records, Cell(objective, "exact", 0 if objective == "bce" else SCALE))
        if own:
            seconds = float(np.mean([record["cost"]["cpu_seconds"] for record in own]))
            reached = [record["measures"][str(record["lengths"][-1])]["map_test"] for record in own]
            series.append(Series(objective, [Point(seconds, float(np.mean(reached)))]))
    return Chart("Cost of a training", Axis("CPU seconds"), Axis("mAP", unit="fraction"), series)
