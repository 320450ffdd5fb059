"""Write results/published/atlas from the collection of public results: the same bytes every time.

python benchmarks/atlas/make.py ../shared/atlas [--output results/published/atlas]
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import from_clip_benchmark
import from_mteb
import from_open_clip
import from_papers
from facts import SOURCES
from identities import join
from readme import readme
from tables import Table, as_lines

OUTPUT = Path(__file__).parents[2] / "results/published/atlas"


def files(atlas: Path) -> dict[str, str]:
    """Name -> text of every file."""
    readers = (from_open_clip, from_clip_benchmark, from_mteb, from_papers)
    tables = [table for reader in readers for table in reader.tables(atlas)]
    models = join(atlas, tables)
    texts = {f"{table.stem}.json": table.text() for table in tables}
    texts["models.json"] = as_lines({"kind": "models", "version": 1}, {"models": models})
    index = [_entry(table, texts) for table in tables]
    sources = [{"name": name, **facts} for name, facts in SOURCES.items()]
    head = {"kind": "index", "version": 1, "numbers": sum(table.numbers for table in tables)}
    head["models_sha256"] = _sha256(texts["models.json"])
    texts["index.json"] = as_lines(head, {"sources": sources, "tables": index})
    texts["README.md"] = readme(tables, models)
    return texts


def _entry(table: Table, texts: dict[str, str]) -> dict[str, object]:
    """What is known of a table without reading it."""
    return {
        "group": table.group,
        "source": table.source,
        "title": table.title,
        "table": table.file,
        "setting": table.setting,
        "numbers": table.numbers,
        "file": f"{table.stem}.json",
        "sha256": _sha256(texts[f"{table.stem}.json"]),
        "places": sorted({column.place for column in table.columns}),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("atlas", type=Path, help="the folder of public results")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for name, text in files(args.atlas).items():
        (args.output / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
