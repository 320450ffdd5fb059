"""Training on the pretend device: the CPU's numbers in fp32, every precision, a resumed run, and budgets."""

import json

import numpy as np
import pytest
import torch
import yaml
from pairs import COLOURS, picture, write_shard
from safetensors.torch import load_file

from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_train.cli import main
from mlcd_train.products import product
from pretend_gpu.device import PretendCuda

TOWER = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
TEXT = {"context_length": 8, "width": 32, "depth": 1, "heads": 2}
STEPS, BATCH = 3, 8
BYTES_PER_VALUE = 4
"""Of the pixels that training uploads."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """24 pictures with captions."""
    root = tmp_path_factory.mktemp("pairs")
    members = []
    for number in range(24):
        colour = list(COLOURS)[number % 4]
        members += [
            (f"s{number:03d}.png", picture(colour, number)),
            (f"s{number:03d}.txt", f"a {colour} thing".encode()),
        ]
    write_shard(root / "train" / "0.tar", members)
    (root / "train" / "nshards.txt").write_text("1")
    (root / "dataset_type.txt").write_text("retrieval")
    return root


def config(pairs, folder, model, objective, **changes):
    """Write the demo's trainings, but small: `clip`, or `mlcd` with its clusters and LiT."""
    loop = {
        "batch_size": BATCH, "steps": STEPS, "save_every": 2, "log_every": 1, "optimizer": {"lr": 1e-3, "warmup": 1},
        **changes,
    }  # fmt: skip
    values = {
        "name": "small",
        "output": str(folder / "out"),
        "cache": str(folder / "cache"),
        "data": {"train": f"wds:{pairs}", "shuffle": 10},
        "model": {"vision": TOWER, "embed_dim": 16},
        "fit": {"objective": objective, **loop},
    }
    if objective == "clip":
        values["model"]["text"] = TEXT
    else:
        values |= {"embed": {"model": model, "source": "mean"}, "cluster": {"k": 6}, "assign": {"labels": 2}}
        values["lit"] = {"text": TEXT, **loop}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def trained(path, device, **settings):
    """Run all stages, and return the losses and the weights of the checkpoint."""
    changes = [f"{key}={value}" for key, value in {"device": device, **settings}.items()]
    assert main(["run", str(path), *(word for change in changes for word in ("--set", change))]) == 0
    out = path.parent / "out"
    log = [json.loads(line) for file in sorted(out.rglob("log.jsonl")) for line in file.read_text().splitlines()]
    return [line["loss"] for line in log if "loss" in line], load_file(next((out / "small").glob("*.safetensors")))


def same(measured, expected, tolerance):
    (losses, weights), (their_losses, their_weights) = measured, expected
    assert losses == pytest.approx(their_losses, rel=tolerance) and len(losses) >= STEPS
    assert weights.keys() == their_weights.keys()
    for name in weights:
        assert np.abs(weights[name].numpy() - their_weights[name].numpy()).max() < 0.1 * tolerance + 1e-4, name


@pytest.mark.parametrize("objective", ["clip", "mlcd"])
def test_fp32_gives_the_cpu_s_numbers_and_resumes(pairs, model, tmp_path, objective):
    expected = trained(config(pairs, tmp_path / "cpu", model, objective), "cpu")
    with PretendCuda()() as ledger:
        whole = trained(config(pairs, tmp_path / "whole", model, objective), "cuda", deterministic=True)
        same(whole, expected, 1e-3)
    stages = 1 if objective == "clip" else 2
    pixels = BATCH * 3 * 16 * 16 * BYTES_PER_VALUE
    assert ledger.total("uploaded", "loop.py") <= STEPS * stages * pixels
    loop = ("mlcd_train/loop.py", "between_steps.py", "non_finite.py")
    assert ledger.total("waits", *loop, "objectives", "centres.py", "losses.py") <= 16 * STEPS * stages
    if objective == "mlcd":
        assert ledger.total("uploaded", "clustering.py") < 3000  # rows go through resident.py, once
        assert ledger.total("repeated", "resident.py") == 0

    with PretendCuda()():
        path = config(pairs, tmp_path / "part", model, objective)
        interrupt_after(2, lambda: main(["run", str(path), "--set", "device=cuda"]))
        assert len(list((tmp_path / "part" / "out" / "fit" / "state").glob("step_*"))) == 1
        assert not (tmp_path / "part" / "out" / "small").exists()
        same(trained(path, "cuda"), whole, 1e-6)


def test_products_round_what_their_kind_says():
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(5, 64, generator=generator) for _ in range(2))
    bits = [((side.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32).double() for side in (left, right)]
    expected = {
        "fp32": left.double() @ right.double().T,
        "tf32": bits[0] @ bits[1].T,
        "bf16": left.bfloat16().double() @ right.bfloat16().double().T,
    }
    with PretendCuda(tf32=True)() as ledger, exact_fp32():
        for kind, values in expected.items():
            ours = product(left.to("cuda"), right.to("cuda"), kind).cpu().double()
            torch.testing.assert_close(ours, values, rtol=1e-5, atol=1e-5)
    assert ledger.flops["bfloat16"] == 2 * 5 * 64 * 5


@pytest.mark.parametrize(
    "objective",
    [
        "clip",
        "mlcd",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("multi_softmax", "multi_sigmoid", "superclass")),
    ],
)
def test_the_host_waits_at_log_steps_only(pairs, model, tmp_path, objective):
    waits = []
    for steps in (2, 6):
        with PretendCuda()() as ledger:
            path = config(pairs, tmp_path / str(steps), model, objective, steps=steps, log_every=99, save_every=99)
            trained(path, "cuda")
        waits.append(ledger.total("waits", "mlcd_train/"))
    assert waits[0] == waits[1], ledger.waits


def interrupt_after(steps, call):
    """Call, and stop it in the step after the given number."""
    from mlcd_train import loop

    count, backward = 0, loop._backward

    def stopping(*args):
        nonlocal count
        count += 1
        if count > steps:
            raise KeyboardInterrupt
        backward(*args)

    loop._backward = stopping
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            raise SystemExit(call())
    finally:
        loop._backward = backward


@pytest.mark.parametrize(
    ("objective", "precision"),
    [
        pytest.param("mlcd", "fp16"),
        pytest.param("clip", "bf16"),
        pytest.param("mlcd", "bf16", marks=pytest.mark.slow),
        pytest.param("clip", "fp16", marks=pytest.mark.slow),
    ],
)
def test_reduced_precision_trains(pairs, model, tmp_path, objective, precision):
    with PretendCuda()() as ledger:
        losses, weights = trained(config(pairs, tmp_path, model, objective, precision=precision), "cuda")
        assert all(np.isfinite(loss) for loss in losses)
        assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in weights.values())
    assert ledger.flops[{"bf16": "bfloat16", "fp16": "float16"}[precision]] > 0
