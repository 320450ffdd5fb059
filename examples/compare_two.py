"""Is checkpoint B better than A? Both on the same images, with paired tests.

python examples/compare_two.py --a open_clip:ViT-B-32/openai --b hf:facebook/dinov2-base --data imagefolder:photos
"""

import argparse
from pathlib import Path

import mlcd_eval
from mlcd_eval.tables.comparison.compare import compare
from mlcd_eval.tables.comparison.pairing import load_side
from mlcd_eval.tables.comparison.text import as_text

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--a", default="timm:test_vit?init=random&seed=1", help="spec of a model (mlcd-eval ls models)")
parser.add_argument("--b", default="timm:test_resnet?init=random&seed=1")
parser.add_argument("--data", help="reference of a data set (mlcd-eval ls datasets); by default bundled clip art")
parser.add_argument("--output", type=Path, default=Path("results/runs/compare_two"))
args = parser.parse_args()

results = mlcd_eval.evaluate(
    {"A": args.a, "B": args.b},
    ["knn", "linear_probe"] if args.data else ["knn/demo_clipart", "linear_probe/demo_clipart"],
    datasets=args.data or (),
    output=args.output,
)
for result in results:
    metric = result.primary
    low, high = metric.ci95
    print(f"{result.model.name} {result.task.name}: {metric.name} {metric.value:.1%} [{low:.1%}, {high:.1%}]")
print(as_text(compare(load_side(args.output / "A"), load_side(args.output / "B"))))
