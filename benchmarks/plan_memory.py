"""Memory of a training step: what `mlcd-train plan` says before it, beside what PyTorch's allocator hands out.

python benchmarks/plan_memory.py

Each case is trained for two steps on noise, by the trainer's own loop, on a CPU; the profiler reports every allocation
and its end. What is compared is the most bytes at a time.
"""

import gc
import itertools
import tempfile
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch

from mlcd_eval.support.progress import Progress
from mlcd_train.config import TrainConfig
from mlcd_train.data.batches import Batch
from mlcd_train.dry_step import SpreadLabels, step_cost
from mlcd_train.fit import build_objective, checkpoint_config, new_model, prepare
from mlcd_train.loop import train

STEPS = 2
CPU = torch.device("cpu")


def config(vision, batch_size, classes=None, text=None, **fit):
    """A config of MLCD with the given number of classes, or of CLIP with a text tower."""
    values = {
        "name": "planned",
        "output": "unused",
        "data": {"train": "unused"},
        "model": {"vision": vision, "embed_dim": 128, "text": text},
        "fit": {"objective": "clip" if text else "mlcd", "batch_size": batch_size, "steps": STEPS, **fit},
    }
    if classes:
        values |= {"embed": {"model": "unused"}, "cluster": {"k": classes}, "assign": {"labels": 8}}
    return TrainConfig.model_validate(values)


CASES = {
    "MLCD, ViT-Ti/16 at 64, batch 64, 20,000 classes": config("vit_tiny_16_64", 64, 20_000),
    "MLCD, ViT-S/16 at 224, batch 16 in 2 parts, bf16, average": config(
        "vit_small_16_224", 16, 2000, precision="bf16", accumulation=2, ema=0.99
    ),
    "CLIP, ViT-Ti/8 at 64, batch 32, activations computed twice": config(
        "vit_tiny_8_64", 32, text="text_tiny", activation_checkpointing=True
    ),
}


def measured(config):
    """The most bytes that the allocator has handed out at a time during two steps of fit."""
    gc.collect()  # what an earlier case leaves must not end in this one
    with tempfile.TemporaryDirectory() as folder, torch.profiler.profile(profile_memory=True) as profiler:
        _train(config, Path(folder))
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def _train(config, folder):
    settings, size, count = config.fit, config.model.vision.image_size, config.fit.batch_size
    model = new_model(checkpoint_config(config.model, {}), 0, CPU)
    prepare(model, settings, CPU)
    objective = build_objective(config, model, partial(SpreadLabels, config), lambda: None, CPU)

    batch = Batch([""] * count, torch.randn(count, 3, size, size), ["a photo"] * count, {})

    def batches(_):
        return itertools.repeat(batch)  # the next one waits in the host's memory, not in a GPU's

    with patch("mlcd_train.loop.StateWriter.write"):  # a copy for the disk is in the host's memory, not in a GPU's
        train(objective, batches, STEPS, settings, folder, "", CPU, Progress(), "measured")


def main():
    print(f"{'bytes at a time':64} {'planned MB':>10} {'measured MB':>11} {'ratio':>6}")
    for title, case in CASES.items():
        planned, got = step_cost(case, "fit", 1).peak, measured(case)
        print(f"{title:64} {planned / 1e6:10.1f} {got / 1e6:11.1f} {planned / got:6.3f}", flush=True)


if __name__ == "__main__":
    main()
