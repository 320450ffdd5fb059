"""Bundle the model of `mlcd-eval demo`: a checkpoint in half precision, with the losses of its training beside it.

mlcd-train run mlcd_train/configs/demo_model.yaml       # on the pairs of benchmarks/demo_pairs.py
python benchmarks/demo_model.py results/train/demo_model
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint, save_checkpoint
from mlcd_eval.support.bundled import demo_model_dir
from mlcd_eval.support.fileio import write_text


def main(trained: Path) -> None:
    """Write config.json, model.safetensors and losses.csv; README.md stays."""
    folder = demo_model_dir()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    model = load_checkpoint(trained / trained.name)
    save_checkpoint(folder, model.to(torch.float16))
    write_text(folder / "README.md", readme)
    steps = [json.loads(line) for line in (trained / "fit/log.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [f"{step['step']},{step['loss']:.4f}" for step in steps if "loss" in step]
    write_text(folder / "losses.csv", "\n".join(["step,loss", *lines]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
