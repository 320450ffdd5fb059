"""Write results/study: README.md with its pictures, leaderboard.md and report.html, from the study's records and logs.

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
ABLATIONS = {  # title, the common setting, and the name of the setting in the paper's table 5
    "k": ("centres k", 700, "number of classes k = "),
    "ratio": ("negatives r", 0.1, "negative sampling ratio r = "),
    "positives": ("positives l", 8, "positive centers l = "),
    "margin": ("margin m", 0.3, None),
    "scale": ("scale", 64, None),
}
PROBE = "linear_probe/openclipart"


def scores(records):
    """Return one row per record: the training, its seed, the task and the value of the primary metric."""
    frame = mlcd_eval.results_frame(records)
    frame = frame[frame["primary"]].copy()
    parts = frame["model"].str.extract(r"^(?P<name>.+)_seed(?P<seed>\d+)$")
    return frame.assign(name=parts["name"], trained_seed=parts["seed"])


def objectives_table(frame, prefix="", order=ORDER):
    """Return a table with one row per task and one column per training, with the best mean in bold."""
    frame = frame[frame["name"].isin([prefix + name for name in order])]
    rows = []
    for task in dict.fromkeys(frame["task"]):
        of_task = frame[frame["task"] == task]
        means = of_task.groupby("name")["value"].mean()
        cells = []
        for name in order:
            values = 100 * of_task[of_task["name"] == prefix + name]["value"]
            spread = f" ± {values.std():.1f}" if len(values) > 1 else ""
            text = f"{values.mean():.1f}{spread}" if len(values) else "-"
            cells.append(f"**{text}**" if prefix + name == means.idxmax() else text)
        rows.append([task, of_task["metric"].iloc[0], *cells])
    return markdown_table(["task", "metric", *(NAMES[name] for name in order)], rows, left=2)


def ablation_parts(frame):
    """Return the tables of all ablations as one text, and {file name: picture}, with the paper's values if known."""
    tables, pictures = [], {}
    paper = json.loads((ROOT / "results/published/ablation_vit_b32.json").read_text())["rows"]
    for ablation, (title, common, in_paper) in ABLATIONS.items():
        ours = frame[frame["name"].str.fullmatch(rf"{ablation}_[\d.]+|default", na=False)]
        if len(ours) < 2:
            continue
        setting = ours["name"].str.rpartition("_")[2].replace("default", str(common)).astype(float)
        table = ours.assign(setting=setting).pivot_table(index="setting", columns="task", values="value") * 100
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
    """Return the tasks that MLCD wins, ties and loses for each rival and seed, or "" without outcomes (not in git)."""
    rows = []
    for rival in ("unicom", "mlc", "clip"):
        for seed in range(3):
            sides = [records / f"{name}_seed{seed}" for name in (rival, "mlcd")]
            if not all((side / "outcomes").is_dir() for side in sides):
                continue
            comparison = compare(*map(load_side, sides))
            decided = [task for task in comparison.tasks if task.outcome in ("win", "loss")]
            counts = [str(comparison.count(outcome)) for outcome in ("win", "tie", "loss")]
            differences = ", ".join(f"{task.task} {100 * task.difference:+.1f}" for task in decided)
            rows.append([NAMES[rival], str(seed), *counts, differences or "-"])
    return markdown_table(["MLCD against", "seed", "wins", "ties", "losses", "significant"], rows) if rows else ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=Path, default=ROOT / "results/study/records")
    parser.add_argument("--logs", type=Path, default=ROOT / "results/study/logs")
    args = parser.parse_args()
    frame = scores(args.records)
    ablations, pictures = ablation_parts(frame)
    charts = []
    for key, title in COSINES.items():
        picture = curves(args.logs, {name: NAMES[name] for name in CLUSTERED}, key, title)
        if picture:
            pictures[f"{key}.svg"] = picture
            charts.append(f"![{title}]({key}.svg)")
    folder = ROOT / "results/study"
    for name, picture in pictures.items():
        (folder / name).write_text(picture)
    blocks = {
        "OBJECTIVES": objectives_table(frame),
        "IMAGE_ONLY": objectives_table(frame, "image_", CLUSTERED),
        "PAIRED": paired_table(args.records),
        "ABLATIONS": ablations,
        "CURVES": "\n".join(charts),
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
    for output, table_format in (("leaderboard.md", "markdown"), ("report.html", "html")):
        flags = ["--format", table_format, "--baseline", "clip_seed0", "--output", str(folder / output)]
        assert mlcd_eval_main(["table", *grid, *flags]) == 0
    print(f"{readme} rewritten")


if __name__ == "__main__":
    main()
