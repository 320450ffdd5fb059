"""Zero-shot classification: clip-benchmark's code with each source's prompts, and mteb's task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from open_clip import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

from benchmarks.oracles.clip_benchmark_side import zeroshot
from benchmarks.oracles.setup import Line, Setup

DATA = ("wds_openclipart", "wds_emoji_groups")


def lines(setup: Setup) -> Iterator[Line]:
    """Compare each dialect on each data set, and mteb's also on images that EXIF turns."""
    for name in DATA:
        folder = setup.data / name
        own = (folder / "zeroshot_classification_templates.txt").read_text(encoding="utf-8").split("\n")
        prompts: dict[str, list[str] | None] = {
            "clip-benchmark": None,
            "clip": [template("{c}") for template in OPENAI_IMAGENET_TEMPLATES],
            "imagenet7": [template("{c}") for template in SIMPLE_IMAGENET_TEMPLATES],
            "a-photo-of-a": ["a photo of a {c}."],
            "one-template": own[:1],
            "names": ["{c}"],
        }
        for dialect, templates in prompts.items():
            theirs = zeroshot(setup.model, folder, templates)
            result, _ = setup.ours("zeroshot", folder, dialect=dialect)
            for metric in result.metrics:
                if metric.value is not None and metric.name in theirs:
                    what = f"{name} zero-shot, {dialect}: {metric.name}"
                    yield Line(f"{what}, clip-benchmark's code", metric.value, theirs[metric.name])
    if setup.mteb_python is None:
        return
    folders = {DATA[0]: setup.data / DATA[0], f"turned {DATA[1]}": setup.turned(DATA[1])}
    scores = setup.mteb([{"kind": "zeroshot", "name": name, "folder": str(path)} for name, path in folders.items()])
    for name, path in folders.items():
        result, samples = setup.ours("zeroshot", path, dialect="mteb")
        assert result.primary is not None and result.primary.value is not None
        yield Line(f"{name} zero-shot, mteb: accuracy", result.primary.value, scores[name]["accuracy"])
        mine = np.array([sample["prediction"] for sample in samples])
        agree = float((mine == np.array(scores[name]["predictions"])).mean())
        yield Line(f"{name} zero-shot, mteb: share of equal predictions", agree, 1.0)
