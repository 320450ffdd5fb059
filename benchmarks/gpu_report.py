"""What gpu_figures.py has measured, as text, and whether a device agrees with the CPU."""

import json

TOLERANCE = 0.02
"""The largest accepted difference of a metric between a device and the CPU: rounding moves single samples of a few
hundred."""


def report(args):
    path = args.out / "figures.json"
    for name, value, unit, note, peer, peer_value in json.loads(path.read_text()) if path.is_file() else ():
        beside = f"{peer}: {peer_value:.4g} {unit}" if peer_value is not None else ""
        print(f"{name:58s} {value:>12.4g} {unit:9s} {note:48s} {beside}".rstrip())
    for log in sorted(args.out.glob("train_*/fit/log.jsonl")):
        losses = [row["loss"] for row in map(json.loads, log.read_text().splitlines()) if "loss" in row]
        if losses:
            print(f"{log.parts[-3]}: loss {losses[0]:.5f} in step 1, {losses[-1]:.5f} in step {len(losses)}")
    return int(not agree(args.out / "eval_device", args.out / "eval_cpu"))


def agree(folder, reference):
    """Print each record's primary metric in both folders; whether all of them agree."""
    paths = sorted(path.relative_to(reference) for path in reference.glob("*/*.json"))
    good = bool(paths)
    for path in paths:
        values = []
        for place in (folder, reference):
            record = json.loads((place / path).read_text()) if (place / path).is_file() else {}
            metrics = {metric["name"]: metric["value"] for metric in record.get("metrics", ())}
            values.append(metrics.get(record.get("primary_metric")))
        close = None not in values and abs(values[0] - values[1]) <= TOLERANCE * max(1, abs(values[1]))
        good &= close
        device, cpu = ("none" if value is None else f"{value:.5f}" for value in values)
        print(f"{path.stem:40s} device {device:>10s} cpu {cpu:>10s} {'agree' if close else 'DIFFER'}")
    return good
