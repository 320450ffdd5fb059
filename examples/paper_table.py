"""From records to the LaTeX table of a paper, with a published row beside yours.

python examples/paper_table.py results/runs/demo --published MLCD
"""

import argparse
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("records", type=Path)
parser.add_argument("--published", default="MLCD")
parser.add_argument("--output", type=Path, default=Path("table.tex"))
args = parser.parse_args()

command = ["table", str(args.records), "--format", "latex", "--published", args.published, "--output", str(args.output)]
subprocess.run([sys.executable, "-m", "mlcd_eval", *command], check=True)
document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}" + "\n"
args.output.with_name("paper.tex").write_text(f"{document}\\input{{{args.output.name}}}\n\\end{{document}}\n")
print(args.output.read_text())
