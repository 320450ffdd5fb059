"""Image-text pairs in the shapes of SugarCrepe, Winoground and ImageCoDe: mteb's and clip-benchmark's own scores."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.oracles.clip_benchmark_side import pairs
from benchmarks.oracles.setup import Line, Setup

SHAPES = {"1 image, 2 texts": (1, 2), "1 image, 5 texts": (1, 5), "2 and 2": (2, 2), "10 images, 1 text": (10, 1)}
COUNT = 40
NAMES = {"text_accuracy": "text_acc", "image_accuracy": "image_acc", "group_accuracy": "accuracy"}


def lines(setup: Setup) -> Iterator[Line]:
    """Compare each shape of items of emoji, and of stamps of which EXIF turns some."""
    emoji, turned = _made(setup, setup.data / "wds_emoji_captions"), _made(setup, setup.turned("wds_stamps_captions"))
    files = {f"emoji, {shape}": emoji[shape] for shape in SHAPES} | {
        f"turned stamps, {shape}": turned[shape] for shape in ("1 image, 2 texts", "2 and 2")
    }
    for name, file in files.items():
        if not name.startswith("turned"):
            yield from _clip_benchmark(setup, name, file)
    if setup.mteb_python is None:
        return
    scores = setup.mteb([{"kind": "pairs", "name": name, "folder": str(file)} for name, file in files.items()])
    for name, file in files.items():
        result, samples = setup.ours("compositionality", file, "pairs", dialect="mteb")
        for metric in result.metrics:
            if metric.name != "group_accuracy" or "2 and 2" in name:
                assert metric.value is not None
                yield Line(f"{name}, mteb: {metric.name}", metric.value, scores[name][NAMES[metric.name]])
                theirs = [each[metric.name] for each in scores[name]["each"]]
                equal = sum(mine[metric.name] == other for mine, other in zip(samples, theirs, strict=True))
                yield Line(f"{name}, mteb: share of equal items, {metric.name}", equal / len(samples), 1.0)


def _clip_benchmark(setup: Setup, name: str, file: Path) -> Iterator[Line]:
    result, _ = setup.ours("compositionality", file, "pairs", dialect="clip-benchmark")
    theirs = pairs(setup.model, file)
    for metric in result.metrics:
        assert metric.value is not None
        score = NAMES[metric.name].replace("accuracy", "acc")
        yield Line(f"{name}, clip-benchmark: {metric.name}", metric.value, theirs[score])


def _made(setup: Setup, folder: Path) -> dict[str, Path]:
    """Shape -> a file of items, whose texts and images are drawn from a folder of captions."""
    out = setup.work / "pairs" / folder.name
    captions = _unpacked(folder, out)
    files = {}
    for shape, (images, texts) in SHAPES.items():
        chance = random.Random(shape)
        drawn = [chance.sample(sorted(captions), max(images, texts)) for _ in range(COUNT)]
        items = [{"images": names[:images], "texts": [captions[name] for name in names[:texts]]} for names in drawn]
        files[shape] = out / f"{shape.replace(', ', '_').replace(' ', '_')}.jsonl"
        files[shape].write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return files


def _unpacked(folder: Path, out: Path) -> dict[str, str]:
    """Image file in `out` -> its first caption, of the first tar of the split test."""
    out.mkdir(parents=True, exist_ok=True)
    captions, images = {}, {}
    with tarfile.open(folder / "test" / "0.tar") as tar:
        for member in tar:
            stem, _, kind = member.name.partition(".")
            data = tar.extractfile(member).read()  # type: ignore[union-attr]
            if kind == "txt":
                captions[stem] = data.decode().splitlines()[0]
            elif kind in ("png", "jpg", "jpeg", "webp"):
                images[stem] = f"{stem}.{kind}"
                (out / images[stem]).write_bytes(data)
    return {name: captions[stem] for stem, name in images.items()}
