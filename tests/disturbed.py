"""A small evaluation and what disturbs it, for tests/crashes."""

import json

from tiny_encoder import TinyEncoder

from mlcd_eval.cli import main
from mlcd_train import loop

TASKS = "*/demo_*"  # 985 images, 4 tasks
TOWER = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
TEXT = {"context_length": 12, "width": 32, "depth": 1, "heads": 2}


def evaluate(place, *more, tasks=TASKS, model="make"):
    places = ["--output", str(place / "out"), "--cache", str(place / "cache"), "--workers", "0", "--batch-size", "16"]
    return main(["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *places, *more])


def records(place):
    """All but times and environment."""
    found = {}
    for path in sorted((place / "out").glob("*/*.json")):
        record = json.loads(path.read_text())
        del record["timing"], record["environment"]
        found[path.name] = record
    assert found and all(record["status"] == "ok" for record in found.values()), found
    return found


def after_images(monkeypatch, count, act):
    """Call act() once, when the tiny encoder is given images after its first `count`."""
    seen, TinyEncoder.images_seen = TinyEncoder.encode_images, 0

    def watched(self, pixels, layers):
        if count <= TinyEncoder.images_seen < count + len(pixels):
            act()
        return seen(self, pixels, layers)

    monkeypatch.setattr(TinyEncoder, "encode_images", watched)


def before_step(monkeypatch, wanted, act):
    """Call act() before that step of training, each time."""
    original = loop.learning_rate

    def rate(step, *rest):
        if step == wanted:
            act()
        return original(step, *rest)

    monkeypatch.setattr(loop, "learning_rate", rate)


def temporary_files(place):
    return [path for path in place.rglob("*") if path.name.endswith((".tmp", ".old"))]
