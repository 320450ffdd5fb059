"""A small evaluation and ways to disturb it, for tests/crashes."""

import json

from tiny_encoder import TinyEncoder

from mlcd_eval.cli import main
from mlcd_train import loop

TASKS = "[!a]*/demo_c*"  # 985 images, 5 tasks; the attentive probe, left out, trains longest
TOWER = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
TEXT = {"context_length": 12, "width": 32, "depth": 1, "heads": 2}


def evaluate(folder, *more, tasks=TASKS, model="make"):
    flags = ["--output", str(folder / "out"), "--cache", str(folder / "cache"), "--workers", "0", "--batch-size", "16"]
    return main(["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *flags, *more])


def records(folder):
    """The records by file name, without times and environment."""
    by_name = {}
    for path in sorted((folder / "out").glob("*/*.json")):
        record = json.loads(path.read_text())
        del record["timing"], record["environment"], record["efficiency"], record["checksum"]
        by_name[path.name] = record
    assert by_name and all(record["status"] == "ok" for record in by_name.values()), by_name
    return by_name


def after_images(monkeypatch, count, act):
    """Call act() once, when the tiny encoder is given images after its first `count`."""
    original, TinyEncoder.images_seen = TinyEncoder.encode_images, 0

    def watched(self, pixels, layers):
        if count <= TinyEncoder.images_seen < count + len(pixels):
            act()
        return original(self, pixels, layers)

    monkeypatch.setattr(TinyEncoder, "encode_images", watched)


def before_step(monkeypatch, wanted, act):
    """Call act() before training step `wanted`, each time it is reached."""
    original = loop.learning_rate

    def rate(step, *rest):
        if step == wanted:
            act()
        return original(step, *rest)

    monkeypatch.setattr(loop, "learning_rate", rate)


def temporary_files(folder):
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".old"))]
