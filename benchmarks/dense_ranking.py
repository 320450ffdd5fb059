"""What the tasks of segmentation say of three encoders on the bundled scenes, beside place and colour alone.

python benchmarks/dense_ranking.py [FOLDER]     random weights, tiny_clip and EfficientNet-Lite0; records go to FOLDER,
                                                where a run that was stopped goes on

Differences are paired, by a permutation test of scenes.
"""

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from mlcd_eval import evaluate
from mlcd_eval.metrics.interval import generator
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records import read_files, read_outcomes

CLIP = "open_clip:local-dir:../shared/models/tiny_clip"
MODELS = {
    "random": f"{CLIP}?init=random",
    "tiny_clip": CLIP,
    "EfficientNet-Lite0": "python:mlcd_eval.extras.efficientnet_lite:encoder",
}
LINEAR, KNN, PROMPTS = "seg_linear/demo", "seg_knn/demo", "seg_zeroshot/demo"
TASKS = {KNN: list(MODELS), LINEAR: list(MODELS), PROMPTS: ["random", "tiny_clip"]}
"""EfficientNet-Lite0 has no texts."""


def shown(value, ends):
    """A share and its interval in per cent."""
    return f"{100 * value:.2f} [{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]"


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    for task, names in TASKS.items():
        print(task, flush=True)
        records = {}
        for name in names:
            evaluate(MODELS[name], [task], output=f"{folder}/{name}", cache=f"{folder}/cache")
            found = {result.task.name: (path, result) for path, result in read_files([Path(folder) / name])}
            path, result = found[task]
            records[name] = read_outcomes(path, result).columns
            values = ", ".join(f"{each.name} {shown(each.value, each.ci95)}" for each in result.metrics)
            print(f"{name}, {' x '.join(map(str, result.details['grid']))} patches: {values}")
            for plain, metrics in result.details["baselines"].items():
                values = ", ".join(f"{each} {shown(of['value'], of['ci95'])}" for each, of in metrics.items())
                print(f"    {plain} alone: {values}", flush=True)
        for one, other in pairwise(names):
            differences(other, one, records[other], records[one])


def differences(name, than, ours, theirs):
    """Print the difference of mIoU with its interval and p."""
    kind = metric_kind("miou")
    (a, groups), (b, _) = kind.selected(theirs), kind.selected(ours)
    paired = kind.statistic.paired(a, b, groups, generator(0, "miou"))
    low, high = (100 * end for end in paired.ci95)
    print(f"    {name} less {than}: {100 * (paired.b - paired.a):+.2f} [{low:+.2f}, {high:+.2f}], p = {paired.p:.4f}")


if __name__ == "__main__":
    main()
