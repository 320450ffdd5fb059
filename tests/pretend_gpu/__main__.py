"""A command on the pretend device: `python -m pretend_gpu [--memory BYTES] [--tf32] [--ledger FILE] mlcd-eval run ...`.

Under torchrun each process has a device of its own, and NCCL's rules hold (ranks.py).
"""

import argparse
import json
import os
import sys
from pathlib import Path

from pretend_gpu.device import PretendCuda
from pretend_gpu.ranks import pretend_nccl


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", type=int)
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--ledger")
    parser.add_argument("program", choices=("mlcd-eval", "mlcd-train"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.program == "mlcd-eval":
        from mlcd_eval.cli import main as command
    else:
        from mlcd_train.cli import main as command
    with PretendCuda(options.memory, options.tf32)() as ledger, pretend_nccl():
        code = command(options.arguments)
    if options.ledger:
        Path(f"{options.ledger}.{os.environ.get('RANK', '0')}").write_text(json.dumps(ledger.summary(), indent=1))
    return code


sys.exit(main())
