"""`python -m mlcd_eval`, also under torchrun."""

import sys

from mlcd_eval.cli import main

sys.exit(main())
