"""The command line with shorter waits for Slurm, so that the tests are quick."""

import sys

from mlcd_eval.cli import main
from mlcd_eval.running.executors import slurm_watch

slurm_watch.ASK, slurm_watch.RESULT_LAG, slurm_watch.PENDING = 1.0, 4.0, 4.0
sys.exit(main(sys.argv[1:]))
