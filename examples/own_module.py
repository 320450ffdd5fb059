"""An nn.Module in memory, evaluated before and after some steps of training, beside a model of a library.

python examples/own_module.py
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

import mlcd_eval

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=30)
parser.add_argument("--output", type=Path, default=Path("results/runs/own_module"))
args = parser.parse_args()


def preprocess(image):
    """RGB picture -> (3, 32, 32) in [0, 1]."""
    return torch.from_numpy(np.asarray(image.resize((32, 32)), np.float32)).permute(2, 0, 1) / 255


torch.manual_seed(0)
encoder = nn.Sequential(
    nn.Conv2d(3, 32, 4, stride=4), nn.GELU(), nn.Conv2d(32, 64, 2, stride=2), nn.GELU(), nn.Flatten()
)
decoder = nn.Sequential(nn.Linear(64 * 16, 3 * 32 * 32), nn.Unflatten(1, (3, 32, 32)))
optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=1e-3)


def measure(name, model, **options):
    """Evaluate on bundled clip art; the module itself is left as it is, and a changed one is measured anew."""
    [result] = mlcd_eval.evaluate({name: model}, "knn/demo_clipart", output=args.output, **options)
    print(f"{name}: {result.primary.name} {result.primary.value:.1%} (weights {result.model.fingerprint[:8]})")


measure("before", encoder, preprocess=preprocess)
for _ in range(args.steps):  # an autoencoder of coloured squares, as a stand-in for your training
    images = torch.rand(64, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    loss = (decoder(encoder(images)) - images).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
measure("after", encoder, preprocess=preprocess)
measure("library", "timm:test_resnet?init=random&seed=1")
frame = mlcd_eval.results_frame(args.output)
print(frame[frame["primary"]][["model", "task", "value", "ci_low", "ci_high", "num_scored"]].to_string(index=False))
