"""results/study's README.md with its pictures, leaderboard.md and report.html, from the study's records and logs.

python benchmarks/study_report.py [--records results/study/records] [--logs results/study/logs]
"""

import argparse
import json
import re
from pathlib import Path

from study_charts import bars, curves

import mlcd_eval
from mlcd_eval.cli import main as mlcd_eval_main
from mlcd_eval.tables.comparison.compare import compare
from mlcd_eval.tables.comparison.pairing import load_side
from mlcd_eval.tables.text import markdown_table

ROOT = Path(__file__).parents[1]
ORDER = ("random", "clip", "unicom", "mlc", "mlcd")
NAMES = {
    "random": "random init",
    "clip": "CLIP",
    "unicom": "UNICOM (l = 1)",
    "mlc": "MLC (l = 8)",
    "mlcd": "MLCD (l = 8)",
}
CLUSTERED = ("unicom", "mlc", "mlcd")
COSINES = {
    "positive_cosine": "mean cosine of images with their own centres",
    "negative_cosine": "mean cosine of images with other centres",
}
ABLATIONS = {  # title, the common setting, and how the paper's table 5 names its own
    "k": ("centres k", 700, "number of classes k = "),
    "ratio": ("negatives r", 0.1, "negative sampling ratio r = "),
    "positives": ("positives l", 8, "positive centers l = "),
    "margin": ("margin m", 0.3, None),
    "scale": ("scale", 64, None),
}
PROBE = "linear_probe/openclipart"


def scores(records):
    """A row a record: what was trained, its seed, the task, the primary metric's value."""
    frame = mlcd_eval.results_frame(records)
    frame = frame[frame["primary"]].copy()
    parts = frame["model"].str.extract(r"^(?P<name>.+)_seed(?P<seed>\d+)$")
    return frame.assign(name=parts["name"], trained_seed=parts["seed"])


def objectives_table(frame, prefix="", order=ORDER):
    """A row a task, a column a training; the best mean in bold."""
    frame = frame[frame["name"].isin([prefix + name for name in order])]
    rows = []
    for task in dict.fromkeys(frame["task"]):
        own = frame[frame["task"] == task]
        means = own.groupby("name")["value"].mean()
        cells = []
        for name in order:
            values = 100 * own[own["name"] == prefix + name]["value"]
            spread = f" ± {values.std():.1f}" if len(values) > 1 else ""
            text = f"{values.mean():.1f}{spread}" if len(values) else "-"
            cells.append(f"**{text}**" if prefix + name == means.idxmax() else text)
        rows.append([task, own["metric"].iloc[0], *cells])
    return markdown_table(["task", "metric", *(NAMES[name] for name in order)], rows, left=2)


def ablation_parts(frame):
    """For each ablation a table, and a picture by its file name: ours, and the paper's where it has it."""
    tables, pictures = [], {}
    paper = json.loads((ROOT / "results/published/ablation_vit_b32.json").read_text())["rows"]
    for ablation, (title, common, in_paper) in ABLATIONS.items():
        own = frame[frame["name"].str.fullmatch(rf"{ablation}_[\d.]+|default", na=False)]
        if len(own) < 2:
            continue
        setting = own["name"].str.rpartition("_")[2].replace("default", str(common)).astype(float)
        table = own.assign(setting=setting).pivot_table(index="setting", columns="task", values="value") * 100
        rows = [[f"{setting:g}", *(f"{value:.1f}" for value in row)] for setting, row in table.iterrows()]
        panels = [("openclipart", {f"{setting:g}": value for setting, value in table[PROBE].items()})]
        if in_paper:
            theirs = [
                (row["setting"], row["values"]["ImageNet"]) for row in paper if row["setting"].startswith(in_paper)
            ]
            panels.append(("the paper's ImageNet", {name.removeprefix(in_paper): value for name, value in theirs}))
        pictures[f"ablation_{ablation}.svg"] = bars(title, panels)
        tables.append(
            f"![{title}: linear probe](ablation_{ablation}.svg)\n\n{markdown_table([title, *table.columns], rows)}"
        )
    return "\n".join(tables), pictures


def paired_table(records):
    """Tasks won, tied and lost by MLCD, for each rival and seed; nothing without samples, which are not committed."""
    rows = []
    for rival in ("unicom", "mlc", "clip"):
        for seed in range(3):
            sides = [records / f"{name}_seed{seed}" for name in (rival, "mlcd")]
            if not all((side / "samples").is_dir() for side in sides):
                continue
            found = compare(*map(load_side, sides))
            won = [task for task in found.tasks if task.outcome in ("win", "loss")]
            counts = [str(found.count(what)) for what in ("win", "tie", "loss")]
            shown = ", ".join(f"{task.task} {100 * task.difference:+.1f}" for task in won)
            rows.append([NAMES[rival], str(seed), *counts, shown or "-"])
    return markdown_table(["MLCD against", "seed", "wins", "ties", "losses", "significant"], rows) if rows else ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=Path, default=ROOT / "results/study/records")
    parser.add_argument("--logs", type=Path, default=ROOT / "results/study/logs")
    args = parser.parse_args()
    frame = scores(args.records)
    ablations, pictures = ablation_parts(frame)
    shown = []
    for key, title in COSINES.items():
        picture = curves(args.logs, {name: NAMES[name] for name in CLUSTERED}, key, title)
        if picture:
            pictures[f"{key}.svg"] = picture
            shown.append(f"![{title}]({key}.svg)")
    folder = ROOT / "results/study"
    for name, picture in pictures.items():
        (folder / name).write_text(picture)
    blocks = {
        "OBJECTIVES": objectives_table(frame),
        "IMAGE_ONLY": objectives_table(frame, "image_", CLUSTERED),
        "PAIRED": paired_table(args.records),
        "ABLATIONS": ablations,
        "CURVES": "\n".join(shown),
    }
    readme = folder / "README.md"
    text = readme.read_text()
    for name, block in blocks.items():
        if not block:
            continue
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda m, b=block: m[1] + b.strip() + "\n" + m[2],
            text,
            flags=re.S,
        )
    readme.write_text(text)
    grid = [str(path) for name in ORDER for path in sorted(args.records.glob(f"{name}_seed*"))]
    for output, form in (("leaderboard.md", "markdown"), ("report.html", "html")):
        tabled = ["--format", form, "--baseline", "clip_seed0", "--output", str(folder / output)]
        assert mlcd_eval_main(["table", *grid, *tabled]) == 0
    print(f"{readme} rewritten")


if __name__ == "__main__":
    main()
