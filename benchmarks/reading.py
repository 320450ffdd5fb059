"""How much of the text on a page encoders keep: ANLS and character error of the reading probe, compared with OCR, on
the bundled pages and on any other file in DocVQA's format.

python benchmarks/reading.py [--steps N] [--data FILE ...] [SPEC ...]     by default the two models of mlcd_eval.extras
"""

import argparse
import platform
import tempfile
from pathlib import Path

import mlcd_eval
from mlcd_eval.support.bundled import demo_data_dir

DOCDEMO = demo_data_dir() / "docdemo" / "val_v1.0_withQT.json"
EXTRAS = ["python:mlcd_eval.extras.rapidocr:reader", "python:mlcd_eval.extras.efficientnet_lite:encoder"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=EXTRAS, metavar="SPEC")
    parser.add_argument("--steps", type=int, default=600, help="steps of probe training")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FILE")
    args = parser.parse_args()
    print(f"{platform.machine()}, probe trained for {args.steps} steps on 400 rendered pages, seed 0")
    for file in [DOCDEMO, *args.data]:
        for model in args.models:
            with tempfile.TemporaryDirectory() as folder:
                (result,) = mlcd_eval.evaluate(
                    model, "docvqa", datasets=[f"docvqa:{file}"], settings={"steps": args.steps}, output=folder
                )
            values = {metric.name: metric for metric in result.metrics}
            low, high = values["anls"].ci95
            print(
                f"{file.parent.name}, {result.dataset.num_samples} questions, {result.model.name}"
                f" ({result.task.settings['mode']}): anls {values['anls'].value:.4f} [{low:.4f}, {high:.4f}],"
                f" character error {values['character_error_rate'].value:.4f}"
            )


if __name__ == "__main__":
    main()
