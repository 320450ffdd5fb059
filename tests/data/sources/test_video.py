"""Layouts of clips, each in the smallest form that its own files have."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec
from mlcd_eval.support.bundled import demo_data_dir

SIZE = (6, 8)  # rows, columns


def mask(path, numbers, mode="P"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(numbers, np.uint8))
    if mode == "P":
        image.putpalette(list(range(256)) * 3)
    image.convert(image.mode if mode == "P" else mode).save(path)


def numbers(largest=2):
    values = np.zeros(SIZE)
    values[0, 0], values[2:4, 3:5] = 255, 1
    values[5, 7] = largest
    return values


def frame(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1]).save(path)


def davis(root, spoil=lambda folder: None, frames=4):
    folder = root / "DAVIS"
    for clip in ("bear", "car-turn"):
        for number in range(frames):
            frame(folder / "JPEGImages/480p" / clip / f"{number:05}.jpg")
            mask(folder / "Annotations/480p" / clip / f"{number:05}.png", numbers(2 + (number == 3)))
    (folder / "ImageSets/2017").mkdir(parents=True)
    (folder / "ImageSets/2017/val.txt").write_text("bear\ncar-turn\n")
    spoil(folder)
    return folder


def scenes(root, split="clips"):
    folder = root / "densedemo"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "clips.tar", "w") as tar:
        for number in range(11):
            shown, drawn = io.BytesIO(), io.BytesIO()
            Image.new("RGB", SIZE[::-1]).save(shown, "WEBP")
            Image.fromarray((numbers(2) % 255).astype(np.uint8)).save(drawn, "PNG")
            for ending, file in (("webp", shown), ("instances.png", drawn)):
                member = tarfile.TarInfo(f"clip00/{number}.{ending}")
                member.size = len(file.getvalue())
                tar.addfile(member, io.BytesIO(file.getvalue()))
    things = [{"class": 1, "object": f"1/{n}", "texture": n} for n in range(2)]
    scene = {"name": "clip00", "split": split, "things": things, "cameras": [np.eye(4).tolist()] * 11}
    index = {"classes": ["background", "ball"], "fov": 35.0, "depth_scale": 65535.0, "scenes": [scene]}
    (folder / "scenes.json").write_text(json.dumps(index))
    return folder


def test_davis_is_found_and_read(tmp_path):
    folder = davis(tmp_path)
    assert find_dataset(tmp_path, DatasetSpec(name="davis2017", kind="video")) == f"video:{folder}"
    assert ("DAVIS", f"video:{folder}") in discover(tmp_path)
    dataset = open_dataset(f"video:{folder}", cache=tmp_path / "cache")
    assert (dataset.kind, dataset.splits) == ("video", ("val",))
    bear, car = dataset.annotations("val")
    assert (bear.clip_id, car.clip_id, bear.size, bear.num_objects) == ("bear", "car-turn", SIZE, 2)
    assert bear.images == tuple(f"bear/{number:05}" for number in range(4))
    assert bear.masks[0].pixels().tolist() == (numbers() % 255).tolist()  # void is no object
    assert bear.masks[3].pixels().max() == 3  # one that appears late is no object of the clip
    keys = [sample.key for shard in dataset.split("val").shards for sample in shard.samples()]
    assert keys == [*bear.images, *car.images]
    before = fingerprint(dataset, "val")
    mask(folder / "Annotations/480p/bear/00002.png", numbers(1))
    assert fingerprint(open_dataset(f"video:{folder}", cache=tmp_path / "cache"), "val") != before


def test_the_bundled_layout_is_read(tmp_path):
    folder = scenes(tmp_path)
    assert find_dataset(tmp_path, DatasetSpec(name="densedemo_clips", kind="video")) == f"video:{folder}"
    dataset = open_dataset(f"video:{folder}")
    [clip] = dataset.annotations("test")
    assert clip.images[9:] == ("clip00/09", "clip00/10") and (clip.num_objects, len(clip.masks)) == (2, 11)
    with pytest.raises(DataError, match=r"has no clips: scenes\.json has no scene of the split 'clips', expected some"):
        open_dataset(f"video:{scenes(tmp_path / 'other', split='test')}")


def test_the_bundled_clips_are_read():
    dataset = open_dataset(f"video:{demo_data_dir() / 'densedemo'}")
    clips = dataset.annotations("test")
    assert [clip.clip_id for clip in clips] == [f"clip{number:02}" for number in range(12)]
    assert {len(clip.images) for clip in clips} == {10} and {clip.num_objects for clip in clips} == {2, 3}
    first, last = (clips[0].masks[frame].pixels() for frame in (0, 9))
    assert clips[0].masks[0].picture().size == first.shape[::-1] == (224, 224)
    assert (first != last).mean() > 0.02  # things move


def at(folder, kind, number, clip="bear"):
    return folder / ("JPEGImages" if kind == "jpg" else "Annotations") / "480p" / clip / f"{number:05}.{kind}"


def removed(*names):
    return lambda folder: [at(folder, kind, number).unlink() for kind, number in names]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            removed(("jpg", 2)),
            r"clip 'bear' lacks the frame 00002: there is no file .*00002\.jpg, expected one for each",
        ),
        (removed(("png", 3)), r"clip 'bear' lacks the mask of frame 00003: there is no file"),
        (removed(("png", 1), ("jpg", 1)), r"lacks the frame 00001: .* each number from 00000 to 00003"),
        (lambda f: at(f, "jpg", 0).rename(at(f, "jpg", 0).with_stem("first")), "has a frame 'first', expected numbers"),
        (lambda f: (f / "ImageSets/2017/val.txt").write_text("bird\n"), "clip 'bird' has no frames: got none in"),
        (
            lambda f: (f / "ImageSets/2017/val.txt").write_text("../../a\n"),
            r"has the image '\.\./\.\./a', which is out",
        ),
        (lambda f: (f / "ImageSets/2017/val.txt").write_text("a" * 300), r"'a+'\.\.\., expected names of at most 255"),
        (lambda f: (f / "ImageSets/2017/val.txt").unlink(), r"names no clips, expected train\.txt or val\.txt"),
        (lambda f: mask(at(f, "png", 0), np.zeros(SIZE)), "no object in its first frame 'bear/00000': got a mask of 0"),
        (lambda f: mask(at(f, "png", 1), numbers(), "RGB"), "no number per pixel: got a picture of mode RGB, expected"),
        (lambda f: mask(at(f, "png", 1), np.zeros((5, 8))), "another size than its image: got 8 x 5 pixels"),
        (
            lambda f: [frame(at(f, "jpg", 1), (6, 9)), mask(at(f, "png", 1), np.zeros((6, 9)))],
            r"frame 'bear/00001' has another size than the clip's first: got 9 x 6 pixels, expected 8 x 6",
        ),
        (
            removed(*[(kind, number) for kind in ("jpg", "png") for number in (2, 3)]),
            "got 2 frames, expected at least 3",
        ),
    ],
)
def test_clips_that_do_not_fit_are_one_sentence(spoil, says, tmp_path):
    with pytest.raises(DataError, match=says):
        open_dataset(f"video:{davis(tmp_path, spoil)}").annotations("val")


def test_masks_without_a_palette_are_read(tmp_path):
    folder = davis(tmp_path, lambda f: mask(at(f, "png", 0), numbers(), "L"))
    assert open_dataset(f"video:{folder}").annotations("val")[0].masks[0].pixels().max() == 2


def test_other_folders_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"no layout that is known here, .* davis has JPEGImages/480p, Annot"):
        open_dataset(f"video:{tmp_path}")
