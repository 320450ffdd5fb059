"""--decoder torch: nearly the same pixels, other features, and no guesses about unknown transforms."""

import open_clip
import pytest
import timm.data
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from tiny_encoder import TinyEncoder
from torchvision import transforms

from mlcd_eval.cli import main
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, save_checkpoint
from mlcd_eval.encoders.stages import split_preprocess
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.encoders.towers.vit import VIT_SIZES
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.decoders import TORCH, TorchResizedEncoder, with_decoder
from mlcd_eval.features.letterbox import LetterboxedEncoder

MEAN_STD = {"mean": (0.5, 0.4, 0.3), "std": (0.25, 0.25, 0.25)}
STEP = 1 / 255 / 0.25  # one of 255 steps, after normalising


def encoder(preprocess):
    made = TinyEncoder()
    made.preprocess = preprocess
    return made


def photo():
    return Image.fromarray(load_sample_images().images[0]).resize((250, 187))


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(image_size=64, **MEAN_STD),
        open_clip.transform.image_transform(64, is_train=False, **MEAN_STD),
        timm.data.create_transform(64, crop_pct=0.9, interpolation="bilinear", **MEAN_STD),
    ],
    ids=["checkpoint", "open_clip", "timm"],
)
def test_pixels_differ_by_one_step_at_most_and_seldom(preprocess):
    ours = with_decoder(encoder(preprocess), "torch").preprocess(photo())
    exact = preprocess(photo())
    assert ours.shape == exact.shape and ours.dtype == torch.float32
    difference = (ours - exact).abs()
    assert difference.max() < 1.01 * STEP
    assert 0 < (difference > 0).float().mean() < 0.02


def test_it_is_part_of_the_features_identity_and_leaves_pil_alone():
    made = encoder(Preprocess(image_size=64))
    assert with_decoder(made, "pil") is made
    wrapped = with_decoder(made, "torch")
    assert wrapped.info.preprocessing == f"{TORCH}; {made.info.preprocessing}"
    assert wrapped.info.fingerprint == made.info.fingerprint and wrapped.device == made.device
    assert LetterboxedEncoder(wrapped).info.preprocessing.startswith("letterboxed on")


def test_it_runs_in_two_stages_too():
    preprocess = with_decoder(encoder(Preprocess(image_size=64)), "torch").preprocess
    split = split_preprocess(preprocess)
    assert torch.equal(split.finish(split.prepare(photo())[None])[0], preprocess(photo()))


@pytest.mark.parametrize(
    "preprocess",
    [
        TinyEncoder().preprocess,
        transforms.Compose([transforms.Resize(8), transforms.GaussianBlur(3), transforms.ToTensor()]),
    ],
)
def test_unknown_steps_are_refused_before_an_image_is_read(preprocess):
    wrapped = TorchResizedEncoder(encoder(preprocess))
    with pytest.raises(IncompatibleError, match=r"--decoder torch: model '' is preprocessed by \w+, expected a check"):
        _ = wrapped.preprocess


def test_a_request_with_it_writes_records_of_its_own(tmp_path):
    """The command line passes the flag on, and records of the other decoder are not taken for its own."""
    checkpoint = tmp_path / "model"
    vision = VIT_SIZES["vit_tiny_16_64"]
    torch.manual_seed(0)
    save_checkpoint(checkpoint, DualEncoder(CheckpointConfig(vision=vision, preprocess=Preprocess(image_size=64))))
    words = ["run", "--model", str(checkpoint), "--tasks", "knn/demo_clipart", "--output", str(tmp_path / "out")]
    words += ["--cache", str(tmp_path / "cache"), "--workers", "0", "--limit", "40", "--device", "cpu"]
    assert main(words) == 0
    assert main([*words, "--decoder", "torch"]) == 0
    [record] = tmp_path.glob("out/*/*.json")
    assert TORCH in record.read_text()
    assert len(list(tmp_path.glob("cache/features/*"))) == 4
