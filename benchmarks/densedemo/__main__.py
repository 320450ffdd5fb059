"""Write the bundled scenes with exact truth, mlcd_eval/demo_data/densedemo; the card there says what they hold.

    python -m benchmarks.densedemo WORK [--scenes 175] [--clips 12] [--output mlcd_eval/demo_data/densedemo]

WORK: a folder in which each view is kept until all are made, so that a run that was stopped continues. Needs Mitsuba 3
(`pip install mitsuba==3.9.1`), which only making them does: about a second a view on one core.
"""

import argparse
import json
import tarfile
from io import BytesIO
from pathlib import Path

from benchmarks.densedemo import render, scenes
from benchmarks.densedemo.shapes import CLASSES

OUTPUT = Path(__file__).parents[2] / "mlcd_eval" / "demo_data" / "densedemo"


def made(scene, work):
    """Render a scene into WORK/NAME unless it is there, and return its files by name, and its cameras' matrices."""
    folder, done = work / scene.name, work / scene.name / "cameras.json"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        cameras = []
        for number, (files, camera) in enumerate(render.views(scene)):
            for ending, contents in files.items():
                (folder / f"{number}.{ending}").write_bytes(contents)
            cameras.append([[round(float(value), 7) for value in row] for row in camera])
        done.write_text(json.dumps(cameras))
    files = {f"{scene.name}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir()) if path != done}
    return files, json.loads(done.read_text())


def described(scene, cameras):
    """What scenes.json says of a scene."""
    things = [
        {"class": each.label, "object": f"{each.label}/{each.shape}", "texture": each.texture} for each in scene.things
    ]
    return {"name": scene.name, "split": scene.split, "things": things, "cameras": cameras}


def write_tar(path, files):
    """Write a tar file that depends on names and contents only."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, BytesIO(contents))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scenes", type=int, default=175)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    every = [scenes.scene(number) for number in range(arguments.scenes)]
    every += [scenes.clip(number) for number in range(arguments.clips)]
    splits, lines = {}, []
    for scene in every:
        files, cameras = made(scene, arguments.work)
        splits.setdefault(scene.split, {}).update(files)
        lines.append(described(scene, cameras))
        print(scene.name, flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for split, files in splits.items():
        write_tar(arguments.output / f"{split}.tar", files)
    facts = {
        "classes": ["background", *(make.__name__ for make in CLASSES)],
        "fov": scenes.FOV,
        "depth_scale": 65535 * render.NEAREST,
    }
    rows = ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    (arguments.output / "scenes.json").write_text(json.dumps(facts)[:-1] + ', "scenes": [\n' + rows + "\n]}\n")


if __name__ == "__main__":
    main()
