"""Every number of a dialect beside that of its source; exit 1 where a difference has no explanation that holds.

    python -m benchmarks.oracles --data DIR --model DIR [--mteb-python PYTHON] [--write] [PART...]

data: folder of wds_* folders. model: folder of an open_clip checkpoint. mteb-python: a python with mteb 2.26 and
open_clip; without it only clip-benchmark is compared. write: into benchmarks/results/oracles.txt. A few minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.oracles import pairs, retrieval, zeroshot
from benchmarks.oracles.setup import Line, Setup

PARTS = {"zeroshot": zeroshot.lines, "retrieval": retrieval.lines, "pairs": pairs.lines}
RESULTS = Path(__file__).parents[1] / "results" / "oracles.txt"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--mteb-python", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"got the parts {', '.join(unknown)}, expected some of {', '.join(PARTS)}")
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as work:
        setup = Setup(args.data.resolve(), args.model.resolve(), Path(work), args.mteb_python)
        for part in args.parts or PARTS:
            for line in PARTS[part](setup):
                print(line, flush=True)
                lines.append(line)
        about = setup.versions()
    verdicts = [line.verdict for line in lines]
    summary = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("same", "explained", "DIFFERENT"))
    print(summary)
    if args.write:
        RESULTS.write_text("\n".join([about, summary, "", *map(str, lines)]) + "\n", encoding="utf-8")
    return 1 if "DIFFERENT" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
