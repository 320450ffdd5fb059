"""Segmentation of more features than memory holds: a file of 37 x 37 patches that is never read whole."""

import subprocess
import sys
from pathlib import Path

import pytest

IMAGES, WIDTH = 2000, 384
BYTES = IMAGES * 37 * 37 * WIDTH * 4
MEASURED = """
import sys, threading, time
import numpy as np
from PIL import Image
from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.registry import get_protocol

name, path, images, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = np.random.default_rng(0)
written = np.memmap(path, np.float32, "w+", shape=(images, 37, 37, width))  # sparse: zeros take no disk
written[:20] = chance.normal(size=(20, 37, 37, width))
written.flush()
array = np.memmap(path, np.float32, "r", shape=written.shape)
classes = chance.integers(0, 20, (4, 4)).repeat(16, 0).repeat(16, 1).astype(np.int16)
blank = Image.new("RGB", (64, 64), (90, 90, 90))
maps = [ClassMap(str(n), (64, 64), "", str(n), lambda: classes, lambda: blank) for n in range(images)]
inputs = Inputs(
    {"train": Features(array, [each.image for each in maps]), "test": Features(array[:10], list("0123456789"))},
    annotations={"train": maps, "test": maps[:10]},
)
protocol = get_protocol(name)
settings = protocol.Settings(patches=20_000)

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024

def watch():
    while True:
        peaks.append(anonymous())
        time.sleep(0.01)

protocol.score(settings, Inputs(  # what is imported and compiled once is no growth
    {"train": Features(array[:20], list(map(str, range(20)))), "test": inputs.images["test"]},
    annotations={"train": maps[:20], "test": maps[:10]},
))
before, peaks = anonymous(), []
threading.Thread(target=watch, daemon=True).start()
scores = protocol.score(settings, inputs)
print(max(peaks) - before, scores.details.get("num_train_images"))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="measured by Linux' own numbers")
@pytest.mark.parametrize("name", ["seg_linear", "seg_knn"])
def test_memory_is_that_of_the_patches_that_are_drawn(name, tmp_path):
    """20,000 patches of 2.7 million are drawn (31 MB); a baseline's colours of 2,000 images are the largest part."""
    command = [sys.executable, "-c", MEASURED, name, str(tmp_path / "features"), str(IMAGES), str(WIDTH)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    grown = int(run.stdout.split()[0])
    assert grown < BYTES / 5, f"{grown / 1e9:.2f} GB of {BYTES / 1e9:.1f} GB"
    print(f"{name}: {grown / 1e9:.2f} GB of {BYTES / 1e9:.1f} GB")
