"""The paper in miniature: five objectives at equal compute, with several seeds, evaluated side by side; then ablations.

python benchmarks/study.py --data DIR --features SPEC [--seeds 0,1,2] [--part grid|image_only|ablations] [--epochs 6]

DIR holds wds_pretrain_clipart to train on and the data sets of EVALUATED. grid clusters the mean of the image and text
features of SPEC; image_only clusters image features, for the objectives that need clusters. Finished work is kept, so
that a stopped study resumes. Checkpoints and stages go to --work, records to results/study/records.
"""

import argparse
import shutil
from pathlib import Path

from mlcd_eval.cli import main as mlcd_eval_main
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.spec import validated
from mlcd_eval.support.device import pick_device
from mlcd_eval.support.documents import read_yaml
from mlcd_eval.support.progress import ConsoleProgress
from mlcd_train.config import TrainConfig
from mlcd_train.fit import new_model
from mlcd_train.runlog import LOG_NAME
from mlcd_train.stages import TrainingRun

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "results/study/configs"
EVALUATED = "linear_probe/openclipart,knn/openclipart,linear_probe/emoji_groups,knn/emoji_groups"
EVALUATED += ",linear_probe/emoji_1shot,knn/emoji_1shot"
WITH_TEXT = "zeroshot/openclipart,zeroshot/emoji_groups,retrieval/emoji_captions,retrieval/stamps_captions"
SEGMENTED = "refcoco/refstamps_val"
CLUSTERED = ("mlcd", "mlc", "unicom")
ABLATIONS = {  # the values besides that of the base config, which is trained once for all ablations
    "k": {"cluster.k": (175, 350, 1400)},
    "ratio": {"fit.objective.ratio": (0.01, 0.5, 1.0)},
    "positives": {"assign.labels": (1, 2, 4, 16)},
    "margin": {"fit.objective.margin": (0.0, 0.1, 0.5)},
    "scale": {"fit.objective.scale": (16, 32, 128)},
}


def config_of(objective, name, seed, changes, args):
    """Return the objective's config with changes, under a new name and seed."""
    values = read_yaml(CONFIGS / f"{objective}.yaml")
    changes = {"data.train": f"wds:{args.data}/wds_pretrain_clipart", "fit.epochs": args.epochs, **changes}
    changes |= {"name": f"{name}_seed{seed}", "output": str(args.work / f"{name}_seed{seed}"), "seed": seed}
    if "embed" in values:
        changes |= {"embed.model": args.features}
    if args.part == "image_only":
        changes |= {"embed.source": "image", "embed.layer": "penultimate"}
    if args.part == "ablations":
        values.pop("lit")
    for path, value in changes.items():
        *sections, key = path.split(".")
        section_values = values
        for section in sections:
            section_values = section_values[section]
        section_values[key] = value
    return validated(TrainConfig, values, name)


def train(config, args):
    """Train, copy the log to a folder beside the records, and return the checkpoint's folder."""
    run = TrainingRun(config, pick_device("auto"), ConsoleProgress())
    run.run()
    logs = args.records.parent / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(config.output / "fit" / LOG_NAME, logs / f"{config.name}.jsonl")
    return run.checkpoint


def random_init(seed, args):
    """Return the folder of an untrained tower, the baseline of all others."""
    folder = args.work / f"random_seed{seed}"
    model = config_of("mlcd", "random", seed, {}, args).model
    if not folder.exists():
        shape = CheckpointConfig(**model.model_dump(), preprocess=Preprocess(image_size=model.vision.image_size))
        save_checkpoint(folder, new_model(shape, seed, pick_device("cpu")))
    return folder


def evaluate(checkpoint, tasks, args, *more):
    """Evaluate by the command line's code, which keeps existing records."""
    folders = ["--output", str(args.records), "--cache", str(args.work / "cache"), "--data-root", str(args.data)]
    code = mlcd_eval_main(["run", "--model", str(checkpoint), "--tasks", tasks, *folders, "--log-samples", *more])
    if code != 0:
        raise SystemExit(code)  # mlcd-eval has reported why


def evaluate_all(checkpoint, args):
    evaluate(checkpoint, f"{EVALUATED},{WITH_TEXT}", args)
    evaluate(checkpoint, SEGMENTED, args, "--set", "steps=300")


def grid(args):
    for seed in map(int, args.seeds.split(",")):
        evaluate(random_init(seed, args), EVALUATED, args)
        for name in (*CLUSTERED, "clip"):
            evaluate_all(train(config_of(name, name, seed, {}, args), args), args)


def image_only(args):
    for seed in map(int, args.seeds.split(",")):
        for name in CLUSTERED:
            evaluate_all(train(config_of(name, f"image_{name}", seed, {}, args), args), args)


def ablations(args):
    runs = {"default": {}}
    for ablation, settings in ABLATIONS.items():
        [(path, values)] = settings.items()
        runs |= {f"{ablation}_{value}": {path: value} for value in values}
    for seed in map(int, args.seeds.split(",")):
        for name, changes in runs.items():
            checkpoint = train(config_of("mlcd", name, seed, changes, args), args)
            evaluate(checkpoint, "linear_probe/openclipart,knn/openclipart", args)


PARTS = {"grid": grid, "image_only": image_only, "ablations": ablations}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", required=True, help="encoder whose features are clustered")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--part", choices=PARTS, default="grid")
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--work", type=Path, default=Path("results/train/study"))
    parser.add_argument("--records", type=Path, default=Path("results/study/records"))
    args = parser.parse_args()
    PARTS[args.part](args)


if __name__ == "__main__":
    main()
