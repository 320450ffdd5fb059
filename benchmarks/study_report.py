"""Write results/study: tests.json, README.md's tables and report.html, from the study's records.

python benchmarks/study_report.py [--added] [--records DIR] [--work DIR] [--output DIR]

--added: those of the study's addition, in the folder `added` of --output; report.html draws both.
--work: of the trainings, whose outcomes of images the permutation tests need; without it the tests are those of
tests.json, which a run with it wrote.
"""

import argparse
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import study_data
from study_design import GRADIENTS, QUALITIES, SCALE, SCALES, Cell, added, blocks, cells
from study_panels import panels
from study_tests import LEVEL, Found, family, read_records, value_of

from mlcd_eval.support.fileio import write_text
from mlcd_eval.tables.report.page import page
from mlcd_eval.tables.text import markdown_table

ROOT = Path(__file__).parents[1]
ADDED, TESTS = "added", "tests.json"
PRIMARY = "map_test"
MEASURES = {
    "map_test": "mAP, new scenes",
    "map_other": "mAP, other maker",
    "probe_map_test": "probe mAP, new scenes",
    "probe_map_other": "probe mAP, other maker",
    "knn": "kNN in clutter",
    "linear_probe": "linear probe in clutter",
}


def families():
    """{name: comparisons (name, A, B)} of the registration."""
    crossed = [(quality, scale) for quality in QUALITIES for scale in SCALES]
    gradient = [Cell(name, "exact", scale) for name in ("mlcd", "mlc", "unicom") for scale in SCALES]
    gradient += [Cell("mlcd", quality) for quality in QUALITIES[1:]]
    others = [("unicom", SCALE), ("multi_softmax", SCALE), ("bce", 0)]
    mlcd, mlc, mlcd_through, mlc_through = added()["given"]
    longest = added()["longest"]
    return {
        "separation": [(f"{q}, scale {s}", Cell("mlc", q, s), Cell("mlcd", q, s)) for q, s in crossed],
        "gradient": [
            (f"{c.objective}, {c.quality}, scale {c.scale}", c, replace(c, gradient=GRADIENTS[1])) for c in gradient
        ],
        "objectives": [
            (f"mlcd - {name}, {quality}", Cell(name, quality, scale), Cell("mlcd", quality))
            for name, scale in others
            for quality in QUALITIES
        ],
        "given": [
            ("mlcd - mlc, exact gradient", mlc, mlcd),
            ("mlcd - mlc, straight-through", mlc_through, mlcd_through),
            ("mlc, straight-through - exact", mlc, mlc_through),
            ("mlcd, straight-through - exact", mlcd, mlcd_through),
        ],
        "longest": [("mlcd - mlc, scale 8", longest[1], longest[0])],
    }


def table_of_cells(records, block):
    """Means over seeds and their deviation, of all measures at the longest length."""
    rows = []
    for cell in (blocks() | added())[block]:
        own = [record for other, record in records.items() if replace(other, seed=0) == cell]
        if not own:
            continue
        texts = []
        for measure in MEASURES:
            values = 100 * np.array([value_of(record, measure) for record in own])
            texts.append(f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""))
        ends = [record["curve"][-1] for record in own]
        texts += [_mean(ends, "positive"), _mean(ends, "negative"), _below_0(own), str(len(own))]
        about = [
            cell.objective,
            cell.quality.replace("_", " "),
            str(cell.scale or "learned"),
            cell.gradient.replace("_", " "),
        ]
        rows.append([*about, f"{cell.ratio:g}", cell.start, *texts])
    if not rows:
        return "No training of these is done yet."
    header = ["objective", "labels", "scale", "gradient", "r", "start", *MEASURES.values(), "A", "B", "A < 0", "seeds"]
    return markdown_table(header, rows, left=4)


def _mean(ends, key):
    values = [end[key] for end in ends if end.get(key) is not None]
    return f"{np.mean(values):.1f}" if values else "-"


def _below_0(records):
    """Share of images with A below 0, over seeds and the last 60 steps."""
    curves = [record["curve"] for record in records]
    last = [line for curve in curves for line in curve if line["step"] > curve[-1]["step"] - 60]
    values = [line["positive_below_0"] for line in last if line.get("positive_below_0") is not None]
    return f"{np.mean(values):.2f}" if values else "-"


def table_of_tests(found):
    rows = [
        [
            test.name,
            f"{100 * test.difference:+.2f}",
            f"[{100 * test.ci95[0]:+.2f}, {100 * test.ci95[1]:+.2f}]",
            f"{test.p:.2g}",
            "-" if test.p_images is None else f"{test.p_images:.2g}",
            f"{test.adjusted:.2g}{' *' if test.adjusted < LEVEL else ''}",
            str(len(test.values)),
        ]
        for test in found
    ]
    return markdown_table(
        ["comparison", "difference", "95% interval", "p, seeds", "p, images", "p, Holm", "seeds"], rows
    )


def table_of_cosines(records):
    """Mean cosines of train images with class rows, by what is true and what was given."""
    groups = ("own", "other", "wrong", "missed")
    wanted = [*blocks()["separation"], *blocks()["objectives"]]
    rows = []
    for cell in (cell for cell in wanted if cell.scale in (0, SCALE)):
        own = [value_of(record, "cosines_train") for other, record in records.items() if replace(other, seed=0) == cell]
        if own:
            means = [[part[name] for part in own if part[name] is not None] for name in groups]
            rows.append(
                [cell.objective, cell.quality.replace("_", " "), *(f"{np.mean(m):.2f}" if m else "-" for m in means)]
            )
    return markdown_table(["objective", "labels", *groups], rows, left=2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--added", action="store_true")
    parser.add_argument("--records", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "results/study")
    args = parser.parse_args()
    folder = args.output / ADDED if args.added else args.output
    folder.mkdir(parents=True, exist_ok=True)
    records = read_records(args.records or folder / "records")
    if args.work is not None:
        tests = {name: [asdict(test) for test in found] for name, found in tests_of(records, args.work).items()}
        write_text(folder / TESTS, json.dumps(tests, indent=1) + "\n")
    write_tables(folder, records)
    study = read_records(args.output / "records") if args.added else records
    write_text(args.output / "report.html", drawn(args.output, study))
    print(f"{folder}: {len(records)} cells")


def kept_tests(folder):
    """{family: tests} of a folder's tests.json."""
    kept = json.loads((folder / TESTS).read_text())
    return {name: [Found(**test) for test in found] for name, found in kept.items()}


def write_tables(folder, records):
    """Fill in README.md, where there is one."""
    readme = folder / "README.md"
    if not readme.is_file():
        return
    parts = {f"TESTS_{name.upper()}": table_of_tests(found) for name, found in kept_tests(folder).items()}
    parts |= {f"CELLS_{block.upper()}": table_of_cells(records, block) for block in blocks() | added()}
    parts |= {"COSINES": table_of_cosines(records), "DONE": state(records)}
    write_text(readme, filled(readme.read_text(), parts))


def drawn(folder, records):
    """The page of a study, and of its addition where there is one."""
    parts = panels(records, kept_tests(folder))
    count = len(records)
    if (folder / ADDED / TESTS).is_file():
        more = read_records(folder / ADDED / "records")
        parts += [
            replace(panel, anchor=f"{ADDED}-{panel.anchor}", heading=f"{panel.heading}, addition")
            for panel in panels(more, kept_tests(folder / ADDED))
        ]
        count += len(more)
    return page(title="Study of objectives", models=count, tasks=len(MEASURES), why=_about(count), panels=parts)


def tests_of(records, work):
    """{family: tests}, of those that have records; work: of their trainings."""
    true = study_data.read_labels(work / "scenes/labels_train.jsonl")
    vocabulary = sorted({name for own in true.values() for name in own})
    labels = study_data.read_split(work / "scenes", "test", vocabulary)[1]
    tests = {
        name: family(records, comparisons, PRIMARY, outcomes=work / "outcomes", labels=labels)
        for name, comparisons in families().items()
    }
    return {name: found for name, found in tests.items() if found}


def _about(count):
    return f"{count} trainings; every number is of the records beside this page, README.md says what they mean."


def state(records):
    """How far the study, or its addition, is, in a sentence."""
    count, addition = len(records), cells(added())
    whole = len(addition if records.keys() <= set(addition) else cells(blocks()))
    if count == whole:
        return f"All {whole} trainings are done."
    return (
        f"**{count} of {whole} trainings are done.** Until all are, the tests below have fewer seeds or comparisons "
        "than was registered, and decide nothing."
    )


def filled(text, parts):
    """Replace what stands between `<!-- NAME -->` and `<!-- end -->`."""
    for name, part in parts.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, p=part: m[1] + p.strip() + "\n" + m[2], text, flags=re.S
        )
    return text


if __name__ == "__main__":
    main()
