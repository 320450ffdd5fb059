"""Retrieval: clip-benchmark's recalls, and mteb's scores of whole rankings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.oracles.clip_benchmark_side import retrieval
from benchmarks.oracles.setup import CLOSE, Line, Setup
from mlcd_eval import Result
from mlcd_eval.metrics.ranking import average_precision, ndcg, padded, reciprocal_rank, share_found

DATA = ("wds_emoji_captions", "wds_stamps_captions")
KS = (1, 5, 10)
DIRECTIONS = {"text_to_image": "image_retrieval_recall", "image_to_text": "text_retrieval_recall"}


def lines(setup: Setup) -> Iterator[Line]:
    """Compare both dialects on each data set, mteb's query by query and also on images that EXIF turns."""
    for name in DATA:
        yield from _clip_benchmark(setup, name)
    if setup.mteb_python is None:
        return
    folders = {name: setup.data / name for name in DATA} | {f"turned {DATA[1]}": setup.turned(DATA[1])}
    scores = setup.mteb([{"kind": "retrieval", "name": name, "folder": str(path)} for name, path in folders.items()])
    for name, path in folders.items():
        yield from _mteb(setup, name, path, scores[name])


def _clip_benchmark(setup: Setup, name: str) -> Iterator[Line]:
    theirs = retrieval(setup.model, setup.data / name, KS)
    result, _ = setup.ours("retrieval", setup.data / name, dialect="clip-benchmark", ks=KS)
    lucky = result.details["if_ties_went_the_querys_way"]
    for direction, other in DIRECTIONS.items():
        for k in KS:
            metric = f"{direction}_recall@{k}"
            value, their = _value(result, metric), theirs[f"{other}@{k}"]
            between = value - CLOSE <= their <= lucky[metric] + CLOSE
            yield Line(f"{name} {metric}, clip-benchmark", value, their, "ties, by torch.topk" if between else "")


def _mteb(setup: Setup, name: str, folder: Path, theirs: dict[str, Any]) -> Iterator[Line]:
    result, samples = setup.ours("retrieval", folder, dialect="mteb")
    for direction in DIRECTIONS:
        ranks = padded([sample["ranks"] for sample in samples if sample["direction"] == direction])
        each = {
            "ndcg@10": ndcg(ranks, 10),
            "mrr@10": reciprocal_rank(ranks, 10),
            "map@10": average_precision(ranks, 10),
            **{f"recall@{k}": (ranks[:, 0] <= k) * 1.0 for k in KS},
            **{f"found@{k}": share_found(ranks, k) for k in KS},
        }
        known = {metric.name for metric in result.metrics}
        tied = np.array(theirs[direction]["tied"])
        for score, values in each.items():
            their = np.array(theirs[direction][score])
            apart = abs(values - their) > CLOSE
            why = f"{apart.sum()} queries, each with a tie to 1e-6" if not (apart & ~tied).any() else ""
            metric = f"{direction}_{score}"
            if metric in known:
                yield Line(f"{name} {metric}, mteb", _value(result, metric), float(their.mean()), why)


def _value(result: Result, name: str) -> float:
    [value] = [metric.value for metric in result.metrics if metric.name == name]
    assert value is not None
    return value
