"""Undisturbed runs, whose records and weights every disturbed run must reproduce."""

import signal

import pytest
import yaml
from disturbed import TEXT, TOWER, evaluate, records
from pairs import COLOURS, picture, write_shard

from mlcd_eval.features import encode
from mlcd_train.cli import main as train_main


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Records of an undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "CHUNK", 16)
        assert evaluate(folder) == 0
    return records(folder)


@pytest.fixture(scope="session")
def train(tmp_path_factory):
    """A function that trains in a folder by the command line. It has the attributes config, the file; weights, a
    function from the folder to the trained weights; and expected, the weights of an undisturbed training."""
    root = tmp_path_factory.mktemp("data")
    members = []
    for number in range(24):
        colour = list(COLOURS)[number % 4]
        members += [(f"s{number}.png", picture(colour, number)), (f"s{number}.txt", f"a {colour} thing".encode())]
    write_shard(root / "train" / "0.tar", members)
    (root / "train" / "nshards.txt").write_text("1")
    (root / "dataset_type.txt").write_text("retrieval")
    one = {"batch_size": 8, "steps": 6, "save_every": 2, "log_every": 1, "optimizer": {"lr": 1e-3, "warmup": 2}}

    def run(folder, *changes):
        config = {
            "name": "tiny",
            "output": str(folder / "out"),
            "cache": str(folder / "cache"),
            "device": "cpu",
            "data": {"train": f"wds:{root}", "shuffle": 15},
            "model": {"vision": TOWER, "embed_dim": 16},
            "embed": {"model": "python:tiny_encoder:make"},
            "cluster": {"k": 8},
            "assign": {"labels": 2},
            "fit": {**one, "objective": {"name": "mlcd"}},
            "lit": {**one, "text": TEXT},
        }
        run.config.write_text(yaml.safe_dump(config))
        return train_main(["run", str(run.config), *(word for change in changes for word in ("--set", change))])

    run.config = root / "train.yaml"
    run.weights = lambda folder: (folder / "out" / "tiny" / "model.safetensors").read_bytes()
    folder = tmp_path_factory.mktemp("undisturbed_training")
    assert run(folder) == 0
    run.expected = run.weights(folder)
    return run


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Make many parts per split, let SIGINT act as at a terminal (background jobs ignore it), and restore handlers."""
    monkeypatch.setattr(encode, "CHUNK", 16)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
