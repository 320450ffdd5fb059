"""A data set of 40 image-text pairs in four shards, and a config whose whole run takes seconds."""

import pytest
import yaml
from pairs import COLOURS, picture, write_shard

from mlcd_train.config import load_config


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A retrieval folder; key s017 is image 17, in shard 1."""
    root = tmp_path_factory.mktemp("pairs")
    for shard in range(4):
        members = []
        for number in range(10 * shard, 10 * shard + 10):
            colour = list(COLOURS)[number % 4]
            members.append((f"s{number:03d}.png", picture(colour, number)))
            members.append((f"s{number:03d}.txt", f"a {colour} thing\nsome {colour}".encode()))
        write_shard(root / "train" / f"{shard}.tar", members)
    (root / "train" / "nshards.txt").write_text("4")
    (root / "dataset_type.txt").write_text("retrieval")
    return root


TOWER = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 2, "heads": 2}
TEXT = {"context_length": 12, "width": 32, "depth": 1, "heads": 2}


@pytest.fixture
def make_config(pairs, tmp_path):
    """Write a config for an objective and read it, with changes as `--set` takes them."""

    def make(*changes, objective="mlcd", lit=False, name="run"):
        fit = {
            "objective": objective,
            "batch_size": 8,
            "steps": 4,
            "save_every": 2,
            "log_every": 1,
            "optimizer": {"lr": 1e-3, "warmup": 2},
        }
        values = {
            "name": f"{objective}_tiny",
            "output": str(tmp_path / name),
            "cache": str(tmp_path / "cache"),
            "device": "cpu",
            "data": {"train": f"wds:{pairs}", "shuffle": 15},
            "model": {"vision": TOWER, "embed_dim": 16},
            "fit": fit,
        }
        if objective == "clip":
            values["model"]["text"] = TEXT
        else:
            values |= {
                "embed": {"model": "python:tiny_encoder:make"},
                "cluster": {"k": 12},
                "assign": {"labels": 1 if objective == "cluster" else 3},
            }
        if lit:
            values["lit"] = {key: fit[key] for key in fit if key != "objective"} | {"text": TEXT}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return load_config(path, changes)

    make.path = lambda name="run": tmp_path / f"{name}.yaml"
    return make
