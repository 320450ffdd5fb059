"""`mlcd-eval ls`: what there is to run."""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

MODEL_FORMS = (
    ("PATH", "checkpoint folder of mlcd-train"),
    ("open_clip:ViT-B-32/laion2b_s34b_b79k", "an open_clip architecture with pretrained weights"),
    ("open_clip:hf-hub:ORG/NAME", "an open_clip model on the hub"),
    ("open_clip:local-dir:PATH", "a folder that open_clip wrote"),
    ("open_clip:ViT-B-32?init=random&seed=0", "an open_clip architecture with seeded random weights"),
    ("hf:ORG/NAME or hf:PATH", "CLIP, SigLIP, DINOv2 and MLCD models of transformers"),
    ("timm:NAME", "a timm model"),
    ("python:module:factory", "your own Encoder"),
)


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("ls", help="list tasks, suites, datasets, models or published numbers")
    parser.add_argument("what", choices=tuple(LISTS))
    parser.add_argument("pattern", nargs="?", default="*", help="glob on the names")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a line an entry, or JSON."""
    rows = [row for row in LISTS[args.what]() if fnmatch.fnmatch(str(row["name"]), args.pattern)]
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    cells = [[" ".join(str(value or "-").split()) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _tasks() -> Rows:
    from mlcd_eval.spec import TaskIndex

    return [
        {"name": task.name, "dataset": task.dataset.name, "description": task.description}
        for task in TaskIndex.load().tasks.values()
    ]


def _suites() -> Rows:
    from mlcd_eval.spec import TaskIndex

    index = TaskIndex.load()
    return [
        {"name": suite.name, "tasks": len(index.select([suite.name])), "description": suite.description}
        for suite in index.suites.values()
    ]


def _datasets() -> Rows:
    from mlcd_eval.spec import TaskIndex

    rows: dict[str, dict[str, Any]] = {}
    for task in TaskIndex.load().tasks.values():
        data = task.dataset
        source = data.hub or data.ref or ("bundled" if "demo" in task.tags else "yours, see how")
        row = rows.setdefault(data.name, {"name": data.name, "kind": data.kind, "source": source, "how": data.how})
        row["notes"] = row.get("notes") or data.notes
    return list(rows.values())


def _models() -> Rows:
    rows = [{"name": form, "description": text} for form, text in MODEL_FORMS]
    found = importlib.util.find_spec("open_clip")  # where it is; to import it would import torch
    if found is not None and found.origin is not None:
        configs = sorted(Path(found.origin).parent.glob("model_configs/*.json"))
        rows += [{"name": f"open_clip:{config.stem}", "description": "open_clip architecture"} for config in configs]
    return rows


def _published() -> Rows:
    from mlcd_eval.published import published_numbers

    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for number in published_numbers():
        row = rows.setdefault((number.model, number.table), {"name": number.model, "table": number.table, "numbers": 0})
        row["numbers"] += 1
    return list(rows.values())


LISTS: dict[str, Callable[[], Rows]] = {
    "tasks": _tasks,
    "suites": _suites,
    "datasets": _datasets,
    "models": _models,
    "published": _published,
}
