"""`python -m mlcd_train`, also under torchrun."""

import sys

from mlcd_train.cli import main

sys.exit(main())
