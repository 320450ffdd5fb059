"""Evaluation on the pretend device: the CPU's records, and budgets of what a run may cost."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mlcd_eval.cli import main
from pretend_gpu.device import PretendCuda

BYTES_PER_VALUE = 1
"""Of the pixels that are uploaded: they are normalised on the device."""
IMAGES = {"train": 60, "test": 40}
SIDE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Coloured squares of four classes as image folders."""
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in IMAGES.items():
        for number in range(count):
            colour = np.eye(4, 3)[number % 4] * 160 + rng.integers(90, size=3)
            folder = root / "colours" / split / f"class_{number % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(40, size=(40, 40, 3))
            Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{number:03d}.png")
    return root / "colours"


def run(model, data, folder, device, *flags):
    """Return the records by task."""
    tasks = "knn,linear_probe" if data else "zeroshot/demo_clipart,retrieval/demo_captions"
    dataset = ["--dataset", f"imagefolder:{data}"] if data else ["--limit", "40"]
    folders = ["--cache", str(folder / "cache"), "--output", str(folder / "out"), "--workers", "0"]
    request = ["run", "--model", model, "--tasks", tasks, *dataset, *folders, "--device", device, *flags]
    assert main(request) == 0
    return {path.stem: json.loads(path.read_text()) for path in (folder / "out").rglob("*.json")}


def rows(features):
    return len(np.load(features, mmap_mode="r"))


def values(records):
    return {name: {metric["name"]: metric["value"] for metric in record["metrics"]} for name, record in records.items()}


ONE_LAMBDA = ("--set", "lambda_=1.0")


@pytest.mark.parametrize("settings", [ONE_LAMBDA, pytest.param((), marks=pytest.mark.slow)], ids=["quick", "search"])
def test_own_data(model, data, tmp_path, settings):
    expected = run(model, data, tmp_path / "cpu", "cpu", *settings)
    with PretendCuda()() as ledger:
        records = run(model, data, tmp_path / "gpu", "cuda", "--batch-size", "32", *settings)
        assert values(records) == values(expected) and len(records) == 2
        assert all(record["environment"]["device"] == "cuda:0" for record in records.values())
        assert list(Path(tmp_path / "gpu" / "cache").rglob("features.npy"))
    images = sum(IMAGES.values()) + 1  # one more call, to count what an image costs
    uploaded = ledger.total("uploaded", "features/")
    assert uploaded <= images * 3 * SIDE * SIDE * BYTES_PER_VALUE
    batches = 4  # of at most 32 images: two per split
    assert ledger.total("waits", "features/") <= batches
    assert ledger.total("repeated") == 0
    features = ledger.total("uploaded", "resident")
    controls = 4 * 16 * images * 2 * 2  # features of 16 numbers, two for each of two protocols
    assert features <= 1.3 * (4 * 48 * images * 2 + controls)  # once for each of two protocols, and indices

    with PretendCuda()() as ledger:  # features are stored: nothing is encoded again
        shutil.rmtree(tmp_path / "gpu" / "out")
        assert values(run(model, data, tmp_path / "gpu", "cuda", *settings)) == values(expected)
    assert ledger.total("uploaded", "features/", "encoders/") == 0


def test_jpegs_are_decoded_and_resized_there(model, data, tmp_path):
    pytest.importorskip("torchcodec", reason="the extra torchcodec")
    from PIL import Image

    photos = tmp_path / "photos"
    for path in data.rglob("*.png"):
        folder = photos / path.relative_to(data).parent
        folder.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(folder / f"{path.stem}.jpg", quality=95)
    next(photos.rglob("*.jpg")).write_bytes(b"no image")
    flags = ["--decoder", "torchcodec", "--allow-bad-images", "1", *ONE_LAMBDA]
    expected = run(model, photos, tmp_path / "cpu", "cpu", *flags)
    with PretendCuda()():
        records = run(model, photos, tmp_path / "gpu", "cuda", *flags)
    for name, record in records.items():
        assert "resized on the GPU" in record["model"]["preprocessing"]
        assert "GPU" not in expected[name]["model"]["preprocessing"]
        assert record["dataset"]["fingerprint"] == expected[name]["dataset"]["fingerprint"]
    arrays = [sorted((tmp_path / where).rglob("features.npy"), key=rows) for where in ("cpu", "gpu")]
    for on_cpu, on_gpu in zip(*([np.load(path) for path in paths] for paths in arrays), strict=True):
        a, b = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (on_cpu, on_gpu))
        assert a.shape == b.shape and (a * b).sum(axis=1).min() > 0.999  # a resize in fp32, which is rounded then


def test_demo_tasks_with_texts(model, tmp_path):
    expected = run(model, None, tmp_path / "cpu", "cpu")
    with PretendCuda()() as ledger:
        assert values(run(model, None, tmp_path / "gpu", "cuda")) == values(expected)
    assert ledger.total("repeated") == 0
    assert ledger.total("downloaded", "zeroshot.py") == 0  # ranked on the device


@pytest.mark.parametrize("precision", [pytest.param("bf16", marks=pytest.mark.slow), "fp16"])
def test_reduced_precision(model, data, tmp_path, precision):
    with PretendCuda()() as ledger:
        records = run(model, data, tmp_path, "cuda", "--precision", precision, *ONE_LAMBDA)
    assert {record["model"]["precision"] for record in records.values()} == {precision}
    assert ledger.flops[{"bf16": "bfloat16", "fp16": "float16"}[precision]] > ledger.flops["float32"]


def test_a_batch_that_is_too_large_is_halved(model, data, tmp_path):
    flags = ["--batch-size", "60", *ONE_LAMBDA]
    with PretendCuda()() as ledger:
        expected = run(model, data, tmp_path / "enough", "cuda", *flags)
    assert "encoders/" in ledger.peak_line
    less = ledger.peak - (100 << 10)
    with PretendCuda(memory=less)() as ledger:
        assert values(run(model, data, tmp_path / "less", "cuda", *flags)) == values(expected)
        assert ledger.peak <= less
