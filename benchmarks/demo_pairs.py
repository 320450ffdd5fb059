"""Write the pairs that the bundled demo model is trained on, as a webdataset: openly licensed drawings of packages.

    python benchmarks/demo_pairs.py --clipart DIR --emoji DIR --emoji DIR --output DIR

--clipart: usr/share/openclipart/png of Debian's openclipart-png 1:0.18+dfsg-19 (Open Clip Art Library, public domain).
--emoji: a copy of package/ of the npm packages emoji-datasource-google and emoji-datasource-twitter 16.0.0 (Noto emoji,
Apache-2.0; Twemoji, CC-BY 4.0; names from emoji.json, MIT).

No test image of a demo task is among them, nor one that looks alike (`ALIKE` of 256 bits of a difference hash, as
drawn in the test set or squeezed to a square), nor any drawing of an emoji that a test caption names.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlcd_eval.data.open import open_dataset
from mlcd_eval.data.storage.images import decode
from mlcd_eval.support.bundled import demo_data_dir
from mlcd_eval.support.fileio import atomic_write

SIDE = 80  # pixels
ALIKE = 26  # bits: the drawing that a test image was made from is at most 24 away
MOST_PIXELS = 4_000_000
MOST = 120  # drawings of a folder: one has 1,378 stars
PER_SHARD = 1_000
TESTS = ("wds_demo_clipart", "wds_demo_captions")


class Pair(NamedTuple):
    image: Image.Image
    captions: list[str]


def clipart(folder: Path) -> Iterator[Pair]:
    """Drawings captioned by their file's name, and by the folder that they are in."""
    seen: Counter[Path] = Counter()
    for file in sorted(folder.rglob("*.png")):
        image = Image.open(file)
        seen[file.parent] += 1
        if seen[file.parent] <= MOST and image.width * image.height <= MOST_PIXELS:
            kind = re.sub(r"s$", "", " ".join(re.findall("[a-z]+", file.parent.name)))
            name = " ".join(re.findall("[a-z]+", file.stem.lower()))
            yield Pair(image, [f"a clip art of a {kind}", f"a drawing of a {kind}", f"{name} {kind}"])


def emoji(folder: Path, without: set[str]) -> Iterator[Pair]:
    """Emoji captioned by their name and short names, but for those that one of the captions `without` names."""
    images = next((folder / "img").iterdir()) / "64"
    for entry in json.loads((folder / "emoji.json").read_text(encoding="utf-8")):
        name = entry["name"].lower()
        captions = [name, *(re.sub("[-_]", " ", short) for short in entry["short_names"])]
        file = images / entry["image"]
        if file.is_file() and not without & set(captions):
            yield Pair(Image.open(file), list(dict.fromkeys(captions)))


def on_white(image: Image.Image, square: bool) -> Image.Image:
    """RGB over white; padded to a square, or squeezed to one."""
    drawn = image.convert("RGBA")
    white = Image.new("RGBA", drawn.size if square else (max(drawn.size),) * 2, "white")
    white.alpha_composite(drawn, ((white.width - drawn.width) // 2, (white.height - drawn.height) // 2))
    return white.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def difference_hash(image: Image.Image) -> NDArray[np.bool_]:
    """256 bits: whether a pixel of 16 x 16 is lighter than its right neighbour."""
    grey = np.asarray(image.convert("L").resize((17, 16), Image.Resampling.LANCZOS), dtype=np.int16)
    return (grey[:, 1:] > grey[:, :-1] + 2).ravel()


def main() -> None:
    """Write the shards and print the counts."""
    Image.MAX_IMAGE_PIXELS = None  # sizes are looked at
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clipart", type=Path, required=True)
    parser.add_argument("--emoji", type=Path, action="append", required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    hashes, captions = [], set()
    for name in TESTS:
        for sample in (
            s for shard in open_dataset(f"wds:{demo_data_dir() / name}").split("test").shards for s in shard.samples()
        ):
            hashes.append(difference_hash(decode(sample.image, sample.key)))
            captions |= set(sample.texts)
    tests = np.stack(hashes)
    sources = {"clipart": clipart(args.clipart), **{f"emoji {f}": emoji(f, captions) for f in args.emoji}}
    kept: list[Pair] = []
    for source, pairs in sources.items():
        before, alike = len(kept), 0
        for pair in pairs:
            forms = [on_white(pair.image, square) for square in (False, True)]
            distances = [int((tests != difference_hash(form)).sum(1).min()) for form in forms]
            if min(distances) <= ALIKE:
                alike += 1
            else:
                kept.append(Pair(forms[0], pair.captions))
        print(f"{source}: {len(kept) - before} pairs, {alike} like a test image left out")
    order = np.random.default_rng(0).permutation(len(kept))
    for start in range(0, len(kept), PER_SHARD):
        contents = io.BytesIO()
        with tarfile.open(fileobj=contents, mode="w") as tar:
            for place in order[start : start + PER_SHARD]:
                image = io.BytesIO()
                kept[place].image.save(image, "WEBP", quality=90)
                text = "\n".join(kept[place].captions).encode()
                for end, data in (("webp", image.getvalue()), ("txt", text)):
                    info = tarfile.TarInfo(f"s{place:07d}.{end}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        path = args.output / "train" / f"{start // PER_SHARD}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(contents.getvalue())
    (args.output / "train/nshards.txt").write_text(f"{-(-len(kept) // PER_SHARD)}\n")
    (args.output / "dataset_type.txt").write_text("retrieval\n")


if __name__ == "__main__":
    main()
