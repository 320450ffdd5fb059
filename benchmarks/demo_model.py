"""Bundle the model of `mlcd-eval demo`: a checkpoint in half precision, with the losses of its training beside it.

Its training was in two parts: 500 steps of a schedule of 687, which was stopped for lack of time, and 40 steps from
there to a learning rate of zero. On the pairs of benchmarks/demo_pairs.py:

    mlcd-train run mlcd_train/configs/demo_model.yaml
    mlcd-train run mlcd_train/configs/demo_model.yaml --set output=results/train/demo_model_end \\
        --set fit.continue_from=results/train/demo_model/fit --set fit.epochs=null --set fit.steps=40 \\
        --set fit.optimizer.lr=2e-4 --set fit.optimizer.warmup=0
    python benchmarks/demo_model.py
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint, save_checkpoint
from mlcd_eval.support.bundled import demo_model_dir
from mlcd_eval.support.fileio import write_text

TRAINED, END = Path("results/train/demo_model"), Path("results/train/demo_model_end")
STOPPED = 500  # steps of the first part


def losses(training: Path) -> dict[int, float]:
    """Step -> loss, as far as it was logged."""
    lines = (training / "fit/log.jsonl").read_text(encoding="utf-8").splitlines()
    return {step["step"]: step["loss"] for step in map(json.loads, lines) if "loss" in step}


def main() -> None:
    """Write config.json, model.safetensors and losses.csv; README.md stays."""
    folder = demo_model_dir()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    save_checkpoint(folder, load_checkpoint(END / TRAINED.name).to(torch.float16))
    write_text(folder / "README.md", readme)
    first = {step: loss for step, loss in losses(TRAINED).items() if step <= STOPPED}
    whole = first | {STOPPED + step: loss for step, loss in losses(END).items()}
    write_text(
        folder / "losses.csv", "".join(["step,loss\n", *(f"{step},{loss:.4f}\n" for step, loss in whole.items())])
    )


if __name__ == "__main__":
    main()
