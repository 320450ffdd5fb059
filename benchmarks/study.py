"""The study of objectives: trainings that differ in labels, objective, scale and margin's gradient, and their measures.

python benchmarks/study.py --objects FOLDER [--form full|added|pilot|reduced] [--init ENCODER] [--records DIR]
    [--work DIR] [--jobs N]

FOLDER: drawings on white in clip-benchmark's layout, of at least 140 classes for the full form (wds_emoji_1shot of the
shared data). The full form takes below four hours on two cores; the reduced one takes minutes on one core and needs
nothing but the bundled data. A cell is a file in --records: those that are there are kept, so that a stopped study goes
on. `python benchmarks/study_report.py` then writes the report. The form `added` has trainings from another encoder's
tower, of any kind that `model.init` takes: --init.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import study_data
import torch
from study_cell import Measured, pretrain, run_cell
from study_design import ADDED_LENGTHS, GIVEN, LENGTHS, TRAINED, Cell, added, blocks, cells, reduced

from mlcd_eval.support.bundled import demo_data_dir, demo_model_dir

RESULTS = Path(__file__).parents[1] / "results/study"
PRETRAINING = 1500  # steps
PILOT = (100, 101, 102)  # seeds that the study itself does not use


def forms():
    """{form: cells, classes, sizes, lengths}."""
    small = {split: 600 if split == "train" else 150 for split in study_data.SIZES}
    pilot = [Cell(name, scale=scale, seed=seed) for scale in (8, 64) for seed in PILOT for name in ("mlcd", "mlc")]
    return {
        "full": (cells(blocks()), 40, study_data.SIZES, LENGTHS),
        "added": (cells(added()), 40, study_data.SIZES, ADDED_LENGTHS),
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
    parser.add_argument("--init", help="an encoder's spec, for --form added")
    parser.add_argument("--records", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time, each on a core")
    args = parser.parse_args()
    to_do, classes, sizes, lengths = forms()[args.form]
    objects = args.objects
    if args.form == "reduced":
        objects = objects or demo_data_dir() / "wds_demo_clipart"
    if objects is None:
        parser.error(f"--objects: expected a folder of drawings with --form {args.form}")
    if (args.init is not None) != (args.form == "added"):
        parser.error(f"--init: got {args.init} with --form {args.form}, expected an encoder with --form added alone")
    work = args.work or Path(f"results/train/study_{args.form}")
    kept = {"full": RESULTS / "records", "added": RESULTS / "added/records"}
    records = args.records or kept.get(args.form, work / "records")
    records.mkdir(parents=True, exist_ok=True)
    scenes = work / "scenes"
    study_data.make_scenes(objects, scenes, classes, sizes)
    torch.set_num_threads(1)  # matrices are small
    trained = demo_model_dir() if args.form == "reduced" else pretrain(scenes, work / "trained", PRETRAINING)
    starts = {TRAINED: str(trained), GIVEN: args.init}
    run = partial(in_a_process, scenes=scenes, starts=starts, lengths=lengths, records=records, work=work)
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as processes:
        for number, name in enumerate(processes.map(run, to_do), start=1):
            print(f"{number} of {len(to_do)}: {name}", flush=True)


if __name__ == "__main__":
    main()
