#!/usr/bin/env python
"""mlcd-eval in mteb's dialect, for a script that calls it with other settings, which are left out.

The prompt is the data set's first one, as in tasks that such a script makes from data of its own.
"""

import sys

from mlcd_eval.cli import main

WORDS = iter(sys.argv[1:])
KEPT = [word for word in WORDS if word != "--set" or not next(WORDS)]
PROMPT = ["--set", "templates=first"] if "zeroshot" in KEPT else []

if __name__ == "__main__":
    sys.exit(main([*KEPT, "--set", "dialect=mteb", *PROMPT]))
