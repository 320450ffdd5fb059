"""The command line with shorter waits and smaller chunks, so that the tests are quick. CHUNK: images per chunk."""

import os
import sys

from mlcd_eval.cli import main
from mlcd_eval.features import encode, pieces
from mlcd_eval.running.executors import slurm_watch

slurm_watch.ASK, slurm_watch.RESULT_LAG, slurm_watch.PENDING = 1.0, 4.0, 4.0
encode.CHUNK, pieces.SECONDS = int(os.environ.get("CHUNK", "64")), 1.0
sys.exit(main(sys.argv[1:]))
