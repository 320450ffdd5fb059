"""The study of objectives: trainings that differ in labels, objective, scale and margin's gradient, and their measures.

python benchmarks/study.py --objects FOLDER [--form full|pilot|reduced] [--init CHECKPOINT] [--records DIR] [--work DIR]
    [--jobs N]

FOLDER: drawings on white in clip-benchmark's layout, of at least 140 classes for the full form (wds_emoji_1shot of the
shared data). The full form takes below four hours on two cores; the reduced one takes minutes on one core and needs
nothing but the bundled data. A cell is a file in --records: those that are there are kept, so that a stopped study goes
on. `python benchmarks/study_report.py` then writes the report. --init: a tower to start from in place of the one that
is pretrained here on scenes of other classes.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import study_data
import torch
from study_cell import Measured, pretrain, run_cell
from study_design import LENGTHS, Cell, cells, reduced

from mlcd_eval.support.bundled import demo_data_dir, demo_model_dir

RESULTS = Path(__file__).parents[1] / "results/study"
PRETRAINING = 1500  # steps
PILOT = (100, 101, 102)  # seeds that the study itself does not use


def forms():
    """{form: cells, classes, sizes, lengths}."""
    small = {split: 600 if split == "train" else 150 for split in study_data.SIZES}
    pilot = [Cell(name, scale=scale, seed=seed) for scale in (8, 64) for seed in PILOT for name in ("mlcd", "mlc")]
    return {
        "full": (cells(), 40, study_data.SIZES, LENGTHS),
        "pilot": (pilot, 40, study_data.SIZES, LENGTHS),
        "reduced": (reduced(), 7, small, (20, 40, 80)),
    }


@cache
def read_scenes(scenes):
    """What cells are measured on, once for a process."""
    torch.set_num_threads(1)
    return Measured(scenes)


def in_a_process(cell, scenes, **options):
    """Train a cell and return its name."""
    run_cell(cell, read_scenes(scenes), scenes, **options)
    return cell.name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=forms(), default="full")
    parser.add_argument("--objects", type=Path, help="by default, for the reduced form, the bundled clip art")
    parser.add_argument("--init", type=Path, help="a checkpoint's folder")
    parser.add_argument("--records", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time, each on a core")
    args = parser.parse_args()
    to_do, classes, sizes, lengths = forms()[args.form]
    objects, init = args.objects, args.init
    if args.form == "reduced":
        objects, init = objects or demo_data_dir() / "wds_demo_clipart", init or demo_model_dir()
    if objects is None:
        parser.error(f"--objects: expected a folder of drawings with --form {args.form}")
    work = args.work or Path(f"results/train/study_{args.form}")
    records = args.records or (RESULTS / "records" if args.form == "full" else work / "records")
    records.mkdir(parents=True, exist_ok=True)
    scenes = work / "scenes"
    study_data.make_scenes(objects, scenes, classes, sizes)
    torch.set_num_threads(1)  # matrices are small
    trained = init or pretrain(scenes, work / "trained", PRETRAINING)
    run = partial(in_a_process, scenes=scenes, trained=trained, lengths=lengths, records=records, work=work)
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as processes:
        for number, name in enumerate(processes.map(run, to_do), start=1):
            print(f"{number} of {len(to_do)}: {name}", flush=True)


if __name__ == "__main__":
    main()
