"""What encoders score on the regions of the bundled data, beside what a region's place, colour and pixels score alone.

python -m benchmarks.regions [--output FOLDER] SPEC...     by default EfficientNet-Lite0
"""

import argparse
import platform

import torch

import mlcd_eval

MODELS = ["python:mlcd_eval.extras.efficientnet_lite:encoder"]
LEARNED = ["region_classification/demo", "region_classification/demo_box", "region_classification/words"]
SEARCHED = ["region_retrieval/demo", "region_retrieval/demo_instance", "region_retrieval/words"]
PROMPTED = ["region_classification/demo_zeroshot", "region_classification/words_zeroshot"]


def shown(value, ci95):
    """A fraction in per cent with its interval."""
    return "-" if value is None else f"{100 * value:.1f} [{100 * ci95[0]:.1f}, {100 * ci95[1]:.1f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="SPEC")
    parser.add_argument("--output", default="regions_out")
    args = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for spec in args.models:
        has_text = mlcd_eval.load_encoder(spec).info.has_text
        for task in [*LEARNED, *SEARCHED, *(PROMPTED if has_text else [])]:
            (record,) = mlcd_eval.evaluate(spec, [task], output=args.output)
            found = [metric for metric in record.metrics if metric.value is not None]
            print(f"{spec}, {task}, {found[0].num_scored:,} regions, {record.timing.score_s:.0f} s")
            print("  " + "; ".join(f"{metric.name} {shown(metric.value, metric.ci95)}" for metric in found))
            for name, each in record.details["baselines"].items():
                print(f"  {name}: " + "; ".join(f"{of} {shown(**metric)}" for of, metric in each.items()))
            if chance := record.details.get("chance"):
                print("  chance: " + "; ".join(f"{of} {100 * value:.1f}" for of, value in chance.items()), flush=True)


if __name__ == "__main__":
    main()
