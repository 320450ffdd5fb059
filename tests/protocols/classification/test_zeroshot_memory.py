"""Zero-shot holds a tile of its logits, and of its features a part, whatever their numbers."""

import subprocess
import sys

import numpy as np
import torch

from mlcd_eval.protocols.classification import zeroshot
from mlcd_eval.protocols.shared.unit import unit
from mlcd_eval.support.resident import Rows

GROWTH = """
import resource, sys
import numpy as np
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification import zeroshot
from mlcd_eval.metrics.classification import classification_samples

def score(rows):
    array = np.lib.format.open_memmap(sys.argv[1], mode="r")[:rows]
    inputs = Inputs(images={}, encode_texts=lambda texts: np.eye(len(texts), 256, dtype=np.float32))
    features = Features(array, [str(key) for key in range(rows)])
    image, text = zeroshot.joint_embeddings(features, ["a", "b", "c"], inputs)
    logits = zeroshot._logits(image, zeroshot._class_vectors(text, 1), range(3))
    classification_samples(logits, np.zeros(rows, dtype=np.int64))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = score(20_000)
print(score(200_000) - before)
"""


def test_features_are_never_copied_whole(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(200_000, 256))
    array[:] = 1.0
    array.flush()
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(tmp_path / "x.npy")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1.5 * array.nbytes  # the file itself, as pages that it was read into, is one


def embeddings(rows, dim, seed):
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def test_tiles_of_logits_are_bounded_and_have_the_bits_of_one_product(monkeypatch):
    image, classes = embeddings(500, 64, 0), unit(torch.tensor(embeddings(90, 64, 1)))
    column = [number % 90 for number in range(120)]
    whole = (100.0 * unit(torch.tensor(image)) @ classes.T).index_select(1, torch.tensor(column))
    monkeypatch.setattr(zeroshot, "_RANKED", 120 * 33)
    parts = list(zeroshot._logits(Rows(image, "cpu", unit), classes, column))
    assert {len(part) for part in parts[:-1]} == {33}
    assert torch.equal(torch.cat(parts), whole)
    monkeypatch.setattr(zeroshot, "_MOST", 90 * 20)  # beyond it, fewer images are multiplied at once
    parts = list(zeroshot._logits(Rows(image, "cpu", unit), classes, column))
    assert {len(part) for part in parts} == {20}
    assert torch.allclose(torch.cat(parts), whole, atol=1e-4)


def test_class_vectors_in_parts_have_the_bits_of_all_at_once(monkeypatch):
    text = embeddings(7 * 50, 64, 2)
    whole = zeroshot.class_vectors(unit(torch.tensor(text)), 7)
    monkeypatch.setattr(zeroshot, "_CLASSES", 16)
    assert torch.equal(zeroshot._class_vectors(Rows(text, "cpu", unit), 7), whole)
