"""What the parts share: our runs, mteb's runs, data with turned images, and a line of the comparison."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from mlcd_eval import Result, evaluate

CLOSE = 1e-6
ORIENTATION, QUARTER_TURN = 0x0112, 6


@dataclass(frozen=True)
class Line:
    """Two numbers for one thing. why: what explains a difference, empty where nothing does."""

    what: str
    ours: float
    theirs: float
    why: str = ""

    @property
    def verdict(self) -> str:
        """Whether they are the same to 1e-6."""
        if abs(self.ours - self.theirs) <= CLOSE:
            return "same"
        return "explained" if self.why else "DIFFERENT"

    def __str__(self) -> str:
        why = f"  ({self.why})" if self.verdict == "explained" else ""
        return f"{self.verdict:9}  {self.what:66}  ours {self.ours:.7f}  theirs {self.theirs:.7f}{why}"


@dataclass(frozen=True)
class Setup:
    """data: folder of webdataset folders; model: folder of an open_clip checkpoint; work: an empty folder for what is
    written; mteb_python: None leaves mteb out."""

    data: Path
    model: Path
    work: Path
    mteb_python: Path | None

    def ours(
        self, protocol: str, data: Path, scheme: str = "wds", **settings: Any
    ) -> tuple[Result, list[dict[str, Any]]]:
        """Return the record of a protocol on data of a scheme with these settings, and its samples."""
        output = (
            self.work
            / "ours"
            / data.parent.name
            / data.stem
            / "_".join(f"{key}={value}" for key, value in settings.items())
        )
        [result] = evaluate(
            f"open_clip:local-dir:{self.model}",
            protocol,
            datasets=f"{scheme}:{data}",
            output=output,
            cache=self.work / "cache",
            device="cpu",
            workers=0,
            offline=True,
            log_samples=True,
            settings=settings,
        )
        assert result.status == "ok", result.error
        [samples] = output.glob("*/samples/*.jsonl")
        return result, [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]

    def mteb(self, jobs: Sequence[Mapping[str, Any]], script: str = "with_mteb.py") -> dict[str, Any]:
        """Return what a script of this folder prints as JSON, run by mteb's python on these jobs."""
        assert self.mteb_python is not None
        home = {"HF_HOME": str(self.work / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        done = subprocess.run(
            [self.mteb_python, "-W", "ignore", Path(__file__).parent / script, self.model, self.work / "mteb"],
            input=json.dumps(jobs),
            env={**os.environ, **home, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        scores: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return scores

    def turned(self, name: str) -> Path:
        """Return a copy of a folder of which every third image says by EXIF that it is to be turned by a quarter."""
        out = self.work / "turned" / name
        if not out.exists():
            shutil.copytree(self.data / name, out)
            for path in out.rglob("*.tar"):
                path.chmod(0o644)
                path.write_bytes(_turned_tar(path.read_bytes()))
        return out

    def versions(self) -> str:
        """Return the versions of all that was compared."""
        packages = ("clip-benchmark", "open_clip_torch", "torch", "pillow")
        text = ", ".join(f"{package} {version(package)}" for package in packages)
        if self.mteb_python is not None:
            code = "from importlib.metadata import version as v; print('mteb', v('mteb'), 'datasets', v('datasets'))"
            done = subprocess.run([self.mteb_python, "-c", code], capture_output=True, text=True, check=True)
            text += f", {done.stdout.strip()}"
        return f"{text}, Python {platform.python_version()}; CPU, fp32"


def _turned_tar(contents: bytes) -> bytes:
    number, file = 0, io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(contents)) as source, tarfile.open(fileobj=file, mode="w") as target:
        for member in source:
            data = source.extractfile(member).read()  # type: ignore[union-attr]
            stem, _, kind = member.name.rpartition(".")
            if kind in ("png", "jpg", "jpeg", "webp"):
                number += 1
                if number % 3 == 0:
                    member.name, data = f"{stem}.png", _turned_image(data)
                    member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    return file.getvalue()


def _turned_image(data: bytes) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = QUARTER_TURN
    Image.open(io.BytesIO(data)).convert("RGB").save(file, "PNG", exif=exif)
    return file.getvalue()
