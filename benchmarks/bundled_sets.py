"""What the bundled sets of choices and of instance retrieval say of baselines and of one small model.

    python benchmarks/bundled_sets.py [NAME=SPEC ...]

Blind baselines and chance are of the records themselves; of instance retrieval there are also a histogram of colours
and the pixels of a small copy. NAME=SPEC: models as `mlcd-eval run --model` takes them.
"""

import sys
import tempfile

import numpy as np
import torch

import mlcd_eval

CHOICES = ("compositionality/demo", "compositionality/shapes")
SEARCHES = ("instance_retrieval/clipart_views", "instance_retrieval/scene_objects")
SIDE, BINS = 16, 4


def small(image):
    """A picture as (3, SIDE, SIDE) of 0 to 1."""
    return torch.tensor(np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.float32)).permute(2, 0, 1) / 255


class Pixels(torch.nn.Module):
    """The pixels less their mean."""

    def forward(self, pixels):
        flat = pixels.flatten(1)
        return flat - flat.mean(dim=1, keepdim=True) + 1e-3


class Colours(torch.nn.Module):
    """The share of pixels in each of BINS cubed colours."""

    def forward(self, pixels):
        place = (pixels.flatten(2) * BINS).long().clamp(max=BINS - 1)
        number = (place[:, 0] * BINS + place[:, 1]) * BINS + place[:, 2]
        return torch.nn.functional.one_hot(number, BINS**3).float().mean(dim=1)


def shown(value):
    return f"{100 * value:6.2f}"


def choices(record):
    details, primary = record.details, record.primary
    low, high = primary.ci95
    print(f"{record.task.name}, {primary.num_scored} items, {record.model.name}: {shown(primary.value)} "
          f"[{100 * low:.2f}, {100 * high:.2f}], chance {shown(details['chance'][primary.name])}")  # fmt: skip
    for name, values in details["baselines"].items():
        print(f"    blind, {name:9} {shown(values[primary.name])}")
    for category, of in details["by_category"].items():
        blind = ", ".join(f"{name} {shown(value)}" for name, value in of["baselines"].items())
        print(f"    {category:10} {of['num_scored']:4} {shown(of['value'])}    {blind}")


def searches(record):
    values = {metric.name: metric for metric in record.metrics}
    line = [f"{record.task.name}, {record.model.name}:"]
    for name in ("instance_map", "instance_recall@1", "nmi"):
        low, high = values[name].ci95
        chance = record.details["chance"].get(name)
        line.append(f"{name} {shown(values[name].value)} [{100 * low:.2f}, {100 * high:.2f}]"
                    + ("" if chance is None else f" (chance {100 * chance:.2f})"))  # fmt: skip
    print("\n    ".join(line), flush=True)


def main():
    models = dict(word.split("=", 1) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as output:
        for name, model in models.items():
            for record in mlcd_eval.evaluate({name: model}, ",".join(CHOICES), output=output, device="cpu"):
                choices(record)
        for name, model in (("colours", Colours()), ("pixels", Pixels())):
            options = {"preprocess": small, "output": output, "device": "cpu"}
            for record in mlcd_eval.evaluate({name: model}, ",".join(SEARCHES), **options):
                searches(record)
        for name, model in models.items():
            for record in mlcd_eval.evaluate({name: model}, ",".join(SEARCHES), output=output, device="cpu"):
                searches(record)


if __name__ == "__main__":
    main()
