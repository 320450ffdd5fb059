"""correspondence and tracking on the bundled scenes: do encoders rank as they should, and beside what.

    python benchmarks/point_ranking.py TINY_CLIP     # the folder of a small CLIP, saved as an open_clip local-dir

Random weights of the same architecture, the CLIP itself, and EfficientNet-Lite0 with ImageNet's labels.
"""

import sys
import tempfile
from pathlib import Path

from mlcd_eval import evaluate

TASKS = {
    "correspondence/demo": ("pck_bbox_per_image@0.1", "pck_img_per_image@0.1"),
    "tracking/demo": ("jf_mean", "j_mean"),
}


def shown(name, value, interval):
    """A metric in words."""
    return f"{name} {100 * value:.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def main():
    folder = sys.argv[1]
    models = {
        "random": f"open_clip:local-dir:{folder}?init=random",
        "tiny_clip": f"open_clip:local-dir:{folder}",
        "EfficientNet-Lite0": "python:mlcd_eval.extras.efficientnet_lite:encoder",
    }
    with tempfile.TemporaryDirectory() as output:
        for name, spec in models.items():
            for result in evaluate(spec, list(TASKS), output=Path(output) / name):
                task, details = result.task.name, result.details
                values = {metric.name: metric for metric in result.metrics}
                line = ", ".join(shown(each, values[each].value, values[each].ci95) for each in TASKS[task])
                grid = " x ".join(map(str, details["grid"]))
                print(f"{task}, {name}, {grid} patches, {values[TASKS[task][0]].num_scored} scored: {line}", flush=True)
                beside = dict(details["baselines"])
                if "true_labels" in details:
                    beside["true labels of patches"] = details["true_labels"]
                for what, of_what in beside.items():
                    line = ", ".join(shown(each, of_what[each]["value"], of_what[each]["ci95"]) for each in TASKS[task])
                    print(f"    {what}: {line}", flush=True)


if __name__ == "__main__":
    main()
