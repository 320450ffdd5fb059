"""Size of the HTML report with 500 published rows, and the time that Chromium takes to sort them.

python benchmarks/published_page.py [--rows 500] [--tasks 3] [--all] [--chromium PATH]    (tasks: 0 for all zero-shot)
The rows are open_clip's, repeated under other names. Sorting is timed with the layout that it causes, forty times.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, TaskRecord, Timing
from mlcd_eval.spec import TaskIndex, TaskSpec
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.published import rows_named
from mlcd_eval.tables.report import html

TIMER = """<script>
const times = [];
if (SHOW_ALL) document.querySelector("[data-all]").click();
for (let turn = 0; turn < 40; turn++) {
  const headers = [...document.querySelectorAll("thead button")].filter(button => button.offsetParent);
  const start = performance.now();
  headers[1 + turn % 2].click();
  document.body.offsetHeight;
  times.push(performance.now() - start);
}
const count = selector => document.querySelectorAll(selector).length;
document.title = `${count("tr.published")} rows, ${count("thead th:has(button)")} columns at a time:${times.join(" ")}`;
</script>"""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def record(task: TaskSpec) -> Result:
    """A record of an invented model, measured as clip-benchmark does."""
    data, key = task.dataset, task.dataset.name
    value, size = 0.6, data.sizes["test"]
    name = task.settings.get("metric") or "acc1"
    return Result(
        task=TaskRecord(name=task.name, version=1, protocol="zeroshot", settings={"layer": "projected"}),
        dataset=DatasetRecord(name=key, kind=data.kind, split="test", fingerprint="d" * 64, num_samples=size),
        model=ModelRecord(
            name="mine",
            spec="open_clip:ViT-B-32/mine.pt",
            fingerprint="m" * 64,
            num_params=151_280_000,
            preprocessing="resize",
            precision="fp32",
        ),
        metrics=(Metric(name=name, value=value, num_scored=size, ci95=(value - 0.004, value + 0.004)),),
        primary_metric=name,
        details={"prompts": f"class names: clip-benchmark:{key}; templates: clip-benchmark:{key}"},
        seed=0,
        environment={},
        timing=Timing(started="2026-01-01T00:00:00+00:00"),
    )


def page(rows: int, tasks: int) -> str:
    """The report of a model with this number of published rows."""
    specs = [task for task in TaskIndex.load().select(["zeroshot"]) if task.dataset.sizes.get("test")]
    specs.sort(key=lambda task: task.name not in ("zeroshot/imagenet", "zeroshot/pets", "zeroshot/dtd"))
    results = [record(task) for task in (specs[:tasks] if tasks else specs)]
    numbers = rows_named("open_clip:*", {result.task.name for result in results}.__contains__)
    labels = list(dict.fromkeys(number.label for number in numbers))
    copies = [
        replace(number, source=f"{number.source} {turn}")
        for turn in range(-(-rows // len(labels)))
        for number in numbers
        if turn * len(labels) + labels.index(number.label) < rows
    ]
    html.choose = lambda *_: (leaderboards(results, copies), copies)
    return html.report(results, published=["open_clip:*"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="show all rows first, not a hundred published ones")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    args = parser.parse_args()
    text = page(args.rows, args.tasks)
    print(f"{len(text.encode()):,} bytes")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        timed = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace(
            "</body>", f"{TIMER.replace('SHOW_ALL', 'true' if args.all else 'false')}</body>"
        )
        file.write_text(timed, encoding="utf-8")
        command = [args.chromium, *FLAGS, f"--user-data-dir={folder}/profile", "--dump-dom", file.as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    shown, _, measured = re.search(r"<title>([^<]*)</title>", dom)[1].partition(":")
    times = [float(time) for time in measured.split()]
    print(f"of {args.rows:,} published rows are shown: {shown}", end=" ")
    print(f"sorted in {min(times):.1f} to {max(times):.1f} ms, median {median(times):.1f} ms")


if __name__ == "__main__":
    main()
