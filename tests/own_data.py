"""A user's own data, written on the fly, and the flags to run on it."""

import io
import tarfile
from pathlib import Path

from PIL import Image

MODEL = "python:tiny_encoder:make"


def write_wds(folder: Path, splits: dict[str, list[tuple[bytes, int]]], names: tuple[str, ...] = ("x", "y")) -> Path:
    """Write a clip-benchmark folder with the given (image file, label) pairs and return it."""
    for split, items in splits.items():
        (folder / split).mkdir(parents=True)
        (folder / split / "nshards.txt").write_text("1")
        with tarfile.open(folder / split / "0.tar", "w") as tar:
            for number, (image, label) in enumerate(items):
                for suffix, data in (("png", image), ("cls", str(label).encode())):
                    info = tarfile.TarInfo(f"s{number:03d}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    (folder / "classnames.txt").write_text("\n".join(names))
    (folder / "zeroshot_classification_templates.txt").write_text("a {c}")
    return folder


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (level, 255 - level, level // 2)).save(file, "PNG")
    return file.getvalue()


def items(count: int) -> list[tuple[bytes, int]]:
    return [(png(index * 7 % 256), index % 2) for index in range(count)]


def flags(tmp_path: Path, *more: str, model: str = MODEL, tasks: str = "[!a]*/demo_c*") -> list[str]:
    common = ["--model", model, "--tasks", tasks, "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    return ["run", *common, "--workers", "0", *more]
