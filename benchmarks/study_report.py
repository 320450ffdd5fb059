"""results/study/README.md and its pictures, from the study's records and logs.

python benchmarks/study_report.py [--records results/study/records] [--logs results/study/logs]
"""

import argparse
import re
from pathlib import Path

import mlcd_eval
from mlcd_eval.errors import DataError
from mlcd_eval.tables.compare import compare
from mlcd_eval.tables.pairing import load_side
from mlcd_eval.tables.text import markdown_table
from mlcd_train.runlog import read_log

ROOT = Path(__file__).parents[1]
ORDER = ("random", "clip", "unicom", "mlc", "mlcd")
NAMES = {
    "random": "random init",
    "clip": "CLIP",
    "unicom": "UNICOM (l = 1)",
    "mlc": "MLC (l = 8)",
    "mlcd": "MLCD (l = 8)",
}
ABLATIONS = {
    "k": "centres k",
    "ratio": "negatives r",
    "positives": "positives l",
    "margin": "margin m",
    "scale": "scale",
}
COLOURS = {"mlcd": "#0072b2", "unicom": "#d55e00", "mlc": "#009e73"}


def scores(records):
    """A row a record: what was trained, its seed, the task, the primary metric's value."""
    frame = mlcd_eval.results_frame(records)
    frame = frame[frame["primary"]].copy()
    parts = frame["model"].str.extract(r"^(?P<name>.+)_seed(?P<seed>\d+)$")
    return frame.assign(name=parts["name"], trained_seed=parts["seed"])


def objectives_table(frame):
    rows = []
    frame = frame[frame["name"].isin(ORDER)]
    for task in dict.fromkeys(frame["task"]):
        own = frame[frame["task"] == task]
        cells = []
        means = own.groupby("name")["value"].mean()
        for name in ORDER:
            values = 100 * own[own["name"] == name]["value"]
            text = (
                f"{values.mean():.1f}" + (f" ± {values.std():.1f}" if len(values) > 1 else "") if len(values) else "-"
            )
            cells.append(f"**{text}**" if len(values) and name == means.idxmax() else text)
        rows.append([task, own["metric"].iloc[0], *cells])
    return markdown_table(["task", "metric", *(NAMES[name] for name in ORDER)], rows, left=2)


def ablation_tables(frame):
    parts = []
    for ablation, title in ABLATIONS.items():
        own = frame[frame["name"].str.fullmatch(rf"{ablation}_[\d.]+", na=False)]
        if not len(own):
            continue
        own = own.assign(setting=own["name"].str.rpartition("_")[2].astype(float)).sort_values("setting")
        table = own.pivot_table(index="setting", columns="task", values="value")
        shown = [[f"{100 * value:.1f}" for value in row] for row in table.values]
        rows = [[f"{setting:g}", *row] for setting, row in zip(table.index, shown, strict=True)]
        parts.append(markdown_table([title, *table.columns], rows))
    return "\n".join(parts)


def paired(records, first, second):
    """Wins, ties and losses of the second against the first, and what differs, for each seed."""
    lines = []
    for seed in range(3):
        folders = [records / f"{name}_seed{seed}" for name in (first, second)]
        if not all(folder.is_dir() for folder in folders):
            continue
        try:
            found = compare(*(load_side(folder) for folder in folders))
        except DataError as error:
            lines.append(f"seed {seed}: {error}")
            continue
        wins, ties, losses = (found.count(what) for what in ("win", "tie", "loss"))
        counted = f"{wins} wins, {ties} ties, {losses} losses over {len(found.tasks)} tasks"
        lines.append(f"seed {seed}: {NAMES[second]} against {NAMES[first]}: {counted}")
    return lines


def curves_svg(logs, names, key, title):
    """Lines of one logged value over steps, a model each."""
    series = {}
    for name in names:
        path = logs / f"{name}_seed0.jsonl"
        if path.is_file():
            series[name] = [(line["step"], line[key]) for line in read_log(path) if line.get(key) is not None]
    if not series:
        return None
    values = [value for points in series.values() for _, value in points]
    low, high, last = min(values), max(values), max(points[-1][0] for points in series.values())
    width, height, left, bottom = 520, 220, 50, 190

    def place(step, value):
        x, y = left + (width - left - 110) * step / last, bottom - (bottom - 30) * (value - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="18">{title}</text>',
        f'<text x="4" y="{bottom}">{low:.2f}</text><text x="4" y="36">{high:.2f}</text>',
        f'<text x="{left}" y="{height - 10}">0</text><text x="{width - 150}" y="{height - 10}">{last} steps</text>',
        f'<path d="M{left},30V{bottom}H{width - 110}" fill="none" stroke="#888"/>',
    ]
    for name, points in series.items():
        path = " ".join(place(*point) for point in points)
        x, y = place(*points[-1]).split(",")
        lines.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.5"/>')
        lines.append(f'<text x="{float(x) + 5}" y="{float(y) + 4}" fill="{COLOURS[name]}">{NAMES[name]}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=Path, default=ROOT / "results/study/records")
    parser.add_argument("--logs", type=Path, default=ROOT / "results/study/logs")
    args = parser.parse_args()
    frame = scores(args.records)
    folder = ROOT / "results/study"
    pictures = {
        "positive_cosine": "mean cosine of images with their own centres",
        "negative_cosine": "mean cosine of images with other centres",
    }
    shown = []
    for key, title in pictures.items():
        svg = curves_svg(args.logs, COLOURS, key, title)
        if svg:
            (folder / f"{key}.svg").write_text(svg)
            shown.append(f"![{title}]({key}.svg)")
    pairs = [("unicom", "mlcd"), ("mlc", "mlcd"), ("clip", "mlcd")]
    blocks = {
        "OBJECTIVES": objectives_table(frame),
        "PAIRED": "\n".join(f"- {line}" for pair in pairs for line in paired(args.records, *pair)),
        "ABLATIONS": ablation_tables(frame),
        "CURVES": "\n".join(shown),
    }
    readme = folder / "README.md"
    text = readme.read_text()
    for name, block in blocks.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda m, b=block: m[1] + b.strip() + "\n" + m[2],
            text,
            flags=re.S,
        )
    readme.write_text(text)
    print(f"{readme} rewritten")


if __name__ == "__main__":
    main()
