"""README.md of the atlas: its sources, their licences, and how the models were joined."""

from __future__ import annotations

from facts import SOURCES
from tables import Table


def readme(tables: list[Table], models: list[dict]) -> str:
    """The whole file; every count in it is of the tables themselves."""
    sources = [
        "| source | from | commit | date | licence | numbers | models |",
        "| --- | --- | --- | --- | --- | --: | --: |",
    ]
    for name, facts in SOURCES.items():
        members = [table for table in tables if table.source == name]
        numbers = sum(table.numbers for table in members)
        known = len({row.identity for table in members for row in table.rows})
        counts = f"{numbers:,} | {known}" if members else "sizes and chance levels | -"
        commit, date = facts["commit"] or "not stated", facts["date"] or "not stated"
        title = f"[{facts['title']}]({facts['url']})"
        sources.append(f"| {name} | {title} | {commit} | {date} | {facts['licence']} | {counts} |")
    files = ["| table | file of the source | numbers | rows | columns |", "| --- | --- | --: | --: | --: |"]
    for table in tables:
        files.append(
            f"| {table.group} | {table.file} | {table.numbers:,} | {len(table.rows)} | {len(table.columns):,} |"
        )
    return TEXT.format(
        numbers=f"{sum(table.numbers for table in tables):,}",
        sources="\n".join(sources),
        files="\n".join(files),
        models=len(models),
        **_joined(models),
    )


def _joined(models: list[dict]) -> dict[str, object]:
    several = [model for model in models if len(model["names"]) > 1]
    rest = [model for model in models if not model["open_clip"]]
    return {
        "several": len(several),
        "open_clip": sum(bool(model["open_clip"]) for model in models),
        "sized": sum(model["gflops"] is not None for model in models),
        "mteb": sum("mteb" in model["names"] for model in models),
        "mteb_joined": sum("mteb" in model["names"] for model in several),
        "benchmark": sum("clip_benchmark" in model["names"] for model in models),
        "benchmark_joined": sum("clip_benchmark" in model["names"] and bool(model["open_clip"]) for model in models),
        "rest": len(rest),
    }


TEXT = """\
# The atlas: public results of vision encoders

{numbers} numbers that others published, as facts, each with its source, commit, licence and dialect (how it was
measured). `mlcd-eval ls published` and docs/published.md say how to ask for them. The files are made by

    python benchmarks/atlas/make.py ../shared/atlas

and by nothing else; the same input gives the same bytes. `index.json` holds the checksum of every table and of
`models.json`.

## Sources and licences

{sources}

Values are copied as printed and not rounded; a value that a source gives as `nan` is left out.
open_clip, CLIP_benchmark and DataComp: copyright of their authors, MIT licence (permission is granted to use, copy,
modify, merge, publish and distribute, provided that this notice stays; no warranty). MTEB's results: public domain
(CC0 1.0).

## Tables

{files}

A table's file lists its dialects, its columns and its rows. A column: heading, protocol, data set, task of this package
or null, metric, place of the dialect, and what differs from the table's unit and decimals. A row: name as printed, key
in `models.json`, what tells the row from others of its model, and runs of values (the place of the first column, then
the values). A value with experiments is a list: their mean, then each of them.

## Models

`models.json` joins the sources by the weights: {models} models, of which {open_clip} are weights of open_clip by name
and tag, {several} have numbers of more than one source and {sized} have parameters and GFLOPs. Of MTEB's {mteb} models,
{mteb_joined} are joined to another source's; of CLIP_benchmark's {benchmark}, {benchmark_joined} (the others are
checkpoints of the scaling study that open_clip's table lacks: their architecture is known, so they have sizes).
{rest} models have no weights in open_clip: scaling-study checkpoints, captioning models, document retrievers, DINOv2,
and rows of papers that do not say which weights they used. Nothing was joined by resemblance of names:
benchmarks/atlas/aliases.py lists every pair.
GFLOPs are open_clip's (docs/model_profile.csv: one image and one text).
"""
