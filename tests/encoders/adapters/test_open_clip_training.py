"""What weights were trained with: preprocessing and activation of files, as published weights have them."""

import warnings

import open_clip
import pytest
import torch
from PIL import Image
from torchscript_archive import save_torchscript

from mlcd_eval.encoders.adapters.open_clip_training import QuickGELUWarning, warn_of_another_activation
from mlcd_eval.encoders.published import PublishedWeightsDiffer
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import CheckpointError, ConfigError


def test_quick_gelu_weights_in_a_gelu_model_are_warned_of():
    with pytest.warns(QuickGELUWarning, match=r"use open_clip:ViT-B-32-quickgelu/openai"):
        warn_of_another_activation("ViT-B-32", "openai")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_another_activation("ViT-B-32-quickgelu", "openai")
        warn_of_another_activation("ViT-B-32", "laion2b_s34b_b79k")


SQUASHED = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2), "interpolation": "bilinear", "resize_mode": "squash"}


def pixels_of(encoder):
    return encoder.preprocess(Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB"))


def test_a_file_gets_the_preprocessing_that_all_published_weights_agree_on(tmp_path, tiny):
    torch.save(tiny(a=SQUASHED, b=SQUASHED).state_dict(), tmp_path / "w.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = load_encoder(f"open_clip:tiny/{tmp_path}/w.pt")
        random = load_encoder("open_clip:tiny?init=random")
    cfg = open_clip.transform.PreprocessCfg(size=32, **SQUASHED)
    right = open_clip.transform.image_transform_v2(cfg, is_train=False)
    image = Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    assert torch.equal(encoder.preprocess(image), right(image))
    assert torch.equal(random.preprocess(image), right(image))


def test_where_published_weights_differ_they_are_named_and_one_can_be_chosen(tmp_path, tiny):
    torch.save(tiny(a={}, b=SQUASHED, c={}).state_dict(), tmp_path / "w.pt")
    spec = f"open_clip:tiny/{tmp_path}/w.pt"
    with pytest.warns(PublishedWeightsDiffer, match=r"2 of 3, .* shortest \(b: .* squash\): \?like=TAG says which"):
        most = load_encoder(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        like = load_encoder(f"{spec}?like=b")
        said = load_encoder(f"{spec}?mean=0.5,0.4,0.3&std=0.2,0.2,0.2&interpolation=bilinear&resize=squash")
    assert "bicubic" in most.info.preprocessing and "0.48145466" in most.info.preprocessing
    assert torch.equal(pixels_of(like), pixels_of(said))
    assert not torch.allclose(pixels_of(like), pixels_of(most), atol=0.1)
    with pytest.raises(ConfigError, match=r"no published weights 'd', expected like= one of a, b, c"):
        load_encoder(f"{spec}?like=d")


def gelu_classes(encoder):
    return {type(module).__name__ for module in encoder.model.modules() if "GELU" in type(module).__name__}


def test_the_activation_of_a_file_is_recognised_or_said(tmp_path, tiny):
    state = tiny(a={"quick_gelu": True}, b={}).state_dict()
    torch.save(state, tmp_path / "w.pt")
    spec = f"open_clip:tiny/{tmp_path}/w.pt"
    with pytest.warns(QuickGELUWarning, match=r"architecture's GELU is taken; a have QuickGELU: \?like=TAG"):
        plain = load_encoder(spec)
    assert gelu_classes(plain) == {"GELU"} and plain.info.extra["activation"] == "GELU, as the architecture tiny"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        like = load_encoder(f"{spec}?like=a")
        named = load_encoder(f"open_clip:tiny-quickgelu/{tmp_path}/w.pt")
    assert gelu_classes(like) == gelu_classes(named) == {"QuickGELU"}


def openai_buffers(state):
    sizes = {"input_resolution": 32, "context_length": 16, "vocab_size": 49408}
    return {**{name: value.half() for name, value in state.items()}, **{k: torch.tensor(v) for k, v in sizes.items()}}


@pytest.mark.parametrize("form", ["archive", "state dict"])
def test_openais_own_files_are_read_with_quick_gelu_and_openais_preprocessing(tmp_path, tiny, form):
    """The file decides, whatever the architecture's published weights have."""
    theirs = tiny(a=SQUASHED)
    state = openai_buffers(theirs.state_dict())
    if form == "archive":
        save_torchscript(state, tmp_path / "w.pt")
    else:
        torch.save(state, tmp_path / "w.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = load_encoder(f"open_clip:tiny/{tmp_path}/w.pt")
    assert "0.48145466" in encoder.info.preprocessing and gelu_classes(encoder) == {"QuickGELU"}
    assert encoder.info.extra["activation"].startswith("QuickGELU")
    quick = open_clip.create_model("tiny-quickgelu").eval().requires_grad_(False)
    quick.load_state_dict({name: value.half().float() for name, value in theirs.state_dict().items()})
    pixels = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(
            encoder.encode_images(pixels, ["projected"])["projected"], quick.encode_image(pixels)
        )


def test_weights_of_another_activation_are_warned_of_before_their_download(tiny, monkeypatch):
    tiny(a={"quick_gelu": True})

    def stop(*args, **kwargs):
        raise RuntimeError("no network")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", stop)
    with pytest.warns(QuickGELUWarning), pytest.raises(CheckpointError, match="no network"):
        load_encoder("open_clip:tiny/a")
