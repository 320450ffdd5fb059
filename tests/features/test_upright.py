"""EXIF orientation: applied if a task asks for it, with features of its own."""

import io

import datasets
import numpy as np
import pytest
import torch
from own_data import MODEL, write_wds
from PIL import Image
from tiny_encoder import TinyEncoder
from torchvision import transforms

from mlcd_eval.data.base import Sample
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.stages import halves_of, split_preprocess, stages
from mlcd_eval.features.decode import batches
from mlcd_eval.features.letterbox import LetterboxedEncoder
from mlcd_eval.features.upright import Upright, UprightEncoder
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.request import RunRequest
from mlcd_eval.running.run import run

ORIENTATION = 0x0112
NOISE = Image.fromarray(np.random.default_rng(0).integers(256, size=(6, 8, 3), dtype=np.uint8))


def photo(orientation, image=NOISE, kind="PNG"):
    """A file, by default one whose pixels survive, that says how it is to be turned; None: that says nothing."""
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    return file.getvalue()


def pixels(image):
    return torch.from_numpy(np.array(image))


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_it_is_what_datasets_decodes(orientation):
    theirs = datasets.Image().decode_example({"bytes": photo(orientation), "path": None}).convert("RGB")
    assert torch.equal(Upright(pixels)(decode(photo(orientation), "s1")), pixels(theirs))


def test_orientation_6_is_turned_clockwise_and_only_if_it_is_asked_for():
    image = decode(photo(6), "s1")
    upright = Upright(pixels)(image)
    assert torch.equal(upright, pixels(NOISE.transpose(Image.Transpose.ROTATE_270)))
    assert torch.equal(pixels(image), pixels(NOISE)) and upright.shape == (8, 6, 3)


def test_both_stages_of_a_transform_see_the_upright_image():
    transform = transforms.Compose([transforms.Resize((4, 4)), transforms.ToTensor()])
    split = split_preprocess(Upright(transform))
    assert split is not None and split.table is not None
    image = decode(photo(6), "s1")
    turned = transform(NOISE.transpose(Image.Transpose.ROTATE_270))
    assert torch.equal(split.finish(split.prepare(image)[None])[0], turned)
    assert halves_of(Upright(pixels)) is None


def test_an_image_with_damaged_exif_is_a_bad_image():
    image = NOISE.copy()
    image.info["exif"] = b"Exif\x00\x00no header of a TIFF"
    [batch] = batches([((0, 0), Sample("a", image))], stages(UprightEncoder(TinyEncoder())), 1, 0)
    assert batch.bad["a"].startswith("the EXIF orientation of an image cannot be read: ")


@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_turn_images_too(workers):
    encoder = UprightEncoder(TinyEncoder())
    samples = [((0, 0), Sample("a", photo(6))), ((0, 0), Sample("b", photo(None)))]
    [batch] = batches(samples, stages(encoder), 2, workers)
    expected = [TinyEncoder().preprocess(image) for image in (NOISE.transpose(Image.Transpose.ROTATE_270), NOISE)]
    assert torch.equal(batch.pixels, torch.stack(expected))


def test_it_is_part_of_the_features_identity_and_comes_before_the_letterbox():
    plain, upright = TinyEncoder(), UprightEncoder(TinyEncoder())
    assert upright.info.preprocessing == f"EXIF orientation applied; {plain.info.preprocessing}"
    boxed = UprightEncoder(LetterboxedEncoder(TinyEncoder()))
    turned = LetterboxedEncoder(TinyEncoder()).preprocess(NOISE.transpose(Image.Transpose.ROTATE_270))
    assert torch.equal(boxed.preprocess(decode(photo(6), "s1")), turned)


def pixels_alone(data):
    """A decoder that leaves EXIF out, as TorchCodec's does."""
    return Image.fromarray(np.array(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("orientation", [None, 6])
def test_another_decoder_of_jpeg_files_keeps_the_orientation(orientation):
    encoder = TinyEncoder()
    encoder.jpeg = pixels_alone
    data = photo(orientation, kind="JPEG")
    [batch] = batches([((0, 0), Sample("a", data))], stages(UprightEncoder(encoder)), 1, 0)
    image = pixels_alone(data)
    turned = image.transpose(Image.Transpose.ROTATE_270) if orientation else image
    assert torch.equal(batch.pixels[0], TinyEncoder().preprocess(turned))


def test_a_run_keeps_both_features_apart_and_scores_each_task_with_its_own(tmp_path):
    """Two classes that only their turn tells apart: halves are dark left or dark above."""
    left = Image.fromarray(np.repeat(np.array([[20, 20, 220, 220]], np.uint8), 4, axis=0)).convert("RGB")
    above = left.transpose(Image.Transpose.ROTATE_270)
    train = [(photo(None, left), 0), (photo(None, above), 1)] * 2
    data = write_wds(tmp_path / "turned", {"train": train, "test": [(photo(6, left), 1), (photo(None, left), 0)]})

    def accuracy(**settings):
        request = RunRequest(
            models=(MODEL,), tasks=("knn",), datasets=(f"wds:{data}",), output=tmp_path / str(settings),
            cache=tmp_path / "cache", workers=0, settings={"ks": (1,), **settings},
        )  # fmt: skip
        [result] = run(make_plan(request))
        return result.primary.value, result.timing.images_encoded

    assert accuracy() == (0.5, 6)
    assert accuracy(exif=True) == (1.0, 6)
    assert accuracy(exif=True, temperature=0.5) == (1.0, 0)  # stored
    assert accuracy(exif=False, temperature=0.5) == (0.5, 0)
