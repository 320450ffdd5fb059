"""Which layer of a tower does a linear probe do best on? Chosen on held-out rows of train, reported on test.

python examples/layer_sweep.py --model hf:facebook/dinov2-base --data imagefolder:photos
"""

import argparse
from pathlib import Path

import mlcd_eval

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="timm:test_vit?init=random&seed=1", help="spec of a transformer tower")
parser.add_argument("--data", help="reference of a data set; by default bundled clip art")
parser.add_argument("--output", type=Path, default=Path("results/runs/layer_sweep"))
args = parser.parse_args()

[best] = mlcd_eval.evaluate(
    args.model,
    "linear_probe" if args.data else "linear_probe/demo_clipart",
    name="tower",
    datasets=args.data or (),
    settings={"layers": "all"},
    output=args.output,
)
for line in best.details["layers"]:
    print(f"{line['layer']:>18}  held out {line['score']:6.1%}  {'#' * round(60 * line['score'])}")
low, high = best.primary.ci95
print(f"best by held-out rows: {best.details['layer']}; on test {best.primary.value:.1%} [{low:.1%}, {high:.1%}]")
