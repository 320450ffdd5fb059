"""MLCD against single-label cluster discrimination and random weights: same data, clusters, tower and steps.

python benchmarks/objectives.py --data DIR [--seeds 3] [--epochs 12] [--ratio 0.1] [--output DIR]

DIR holds wds_pretrain_clipart (image-text pairs to train on) and wds_openclipart (to probe); --features is the encoder
whose features are clustered. Finished runs are kept, so that a stopped script resumes.
"""

import argparse
import platform
import statistics
from pathlib import Path

import mlcd_eval
from mlcd_eval.encoders.adapters.checkpoint import save_checkpoint
from mlcd_eval.spec import validated
from mlcd_eval.support.device import pick_device
from mlcd_eval.support.progress import ConsoleProgress
from mlcd_train.config import TrainConfig
from mlcd_train.fit import checkpoint_config, new_model
from mlcd_train.stages import TrainingRun

POSITIVES = {"mlcd": 8, "mlc": 8, "cluster": 1}


def config_of(objective, seed, args):
    return validated(
        TrainConfig,
        {
            "name": f"{objective}_seed{seed}",
            "output": str(args.output / f"{objective}_seed{seed}"),
            "seed": seed,
            "data": {"train": f"wds:{args.data}/wds_pretrain_clipart"},
            "embed": {"model": args.features, "source": "mean"},
            "cluster": {"k": args.k},
            "assign": {"labels": POSITIVES[objective]},
            "model": {"vision": "vit_tiny_16_64", "embed_dim": 192},
            "fit": {
                "objective": {"name": objective, "ratio": args.ratio, "margin_gradient": "exact"},  # as in the figures
                "batch_size": 128,
                "epochs": args.epochs,
                "optimizer": {"lr": 1e-3, "warmup": 50},
                "save_every": 200,
            },
        },
        "objectives",
    )


def probe(checkpoint, args):
    options = {"data_root": args.data, "output": args.output / "records", "cache": args.output / "cache"}
    [linear] = mlcd_eval.evaluate(str(checkpoint), ["linear_probe/openclipart"], **options)
    return linear.primary.value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", required=True, help="encoder spec")
    parser.add_argument("--objectives", default="mlcd,cluster")
    parser.add_argument("--output", type=Path, default=Path("results/train/objectives"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=12)
    parser.add_argument("--k", type=int, default=700)
    parser.add_argument("--ratio", type=float, default=0.1)
    args = parser.parse_args()
    machine = platform.processor() or platform.machine()
    print(f"{machine}; k = {args.k}, {args.epochs:g} epochs, vit_tiny_16_64, r = {args.ratio:g}")
    accuracies = {name: [] for name in ("random init", *args.objectives.split(","))}
    for seed in range(args.seeds):
        for name, values in accuracies.items():
            if name == "random init":
                checkpoint = args.output / f"random_seed{seed}"
                model = config_of("mlcd", seed, args).model
                save_checkpoint(checkpoint, new_model(checkpoint_config(model, {}), seed, pick_device("cpu")))
            else:
                run = TrainingRun(config_of(name, seed, args), pick_device("auto"), ConsoleProgress())
                run.run()
                checkpoint = run.checkpoint
            values.append(probe(checkpoint, args))
            print(f"seed {seed} {name}: linear probe on openclipart {100 * values[-1]:.2f}", flush=True)
    for name, values in accuracies.items():
        deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
        print(f"{name:<12} {100 * statistics.mean(values):.2f} +- {100 * deviation:.2f} over {len(values)} seeds")


if __name__ == "__main__":
    main()
