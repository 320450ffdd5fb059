"""Which names of the sources are one model, and what is known of it: the table models.json."""

from __future__ import annotations

from pathlib import Path

from aliases import HUB_NAMES, PAPER_NAMES
from tables import Row, Table, read_csv

SIZES = ("params_m", "image_params_m", "gflops", "image_gflops")


def join(atlas: Path, tables: list[Table]) -> list[dict[str, object]]:
    """Replace the identities of all rows by their keys; returns the models, one per key.

    The key is NAME/TAG of open_clip where it has these weights, else the name on the hub, else the printed name.
    """
    released = {key: _released(line) for key, line in _open_clip_lines(atlas).items()}
    architectures = {line["model"]: line for line in read_csv(atlas / "openclip_profile.csv")}
    models: dict[str, dict[str, object]] = {}
    for table in tables:
        for place, row in enumerate(table.rows):
            key = _key(row.name, table.source, released)
            model = models.setdefault(key, _model(key, table.source, row.name, released, architectures))
            names = model["names"]
            assert isinstance(names, dict)
            if row.name not in names.setdefault(table.source, []):
                names[table.source].append(row.name)
            table.rows[place] = Row(row.name, key, row.note, row.values)
    for printed, key in PAPER_NAMES.items():
        if printed.startswith("papers:") and key in models:
            models[key]["names"].setdefault("papers", []).append(printed.removeprefix("papers:"))
    return [models[key] for key in sorted(models)]


def _open_clip_lines(atlas: Path) -> dict[str, dict[str, str]]:
    lines = read_csv(atlas / "openclip_zeroshot.csv")
    known = {f"{line['name']}/{line['pretrained']}": line for line in lines}
    for line in read_csv(atlas / "openclip_multilingual.csv"):
        known.setdefault(f"{line['model']}/{line['version']}", {})
    return known


def _released(line: dict[str, str]) -> dict[str, float]:
    """Parameters in millions and GFLOPs of both towers, where the table of results states them."""
    return {"params_m": float(line["params (M)"]), "gflops": float(line["FLOPs (B)"])} if line else {}


def _key(name: str, source: str, released: dict[str, dict[str, float]]) -> str:
    if source == "mteb":
        return HUB_NAMES.get(name, name)
    if source in ("open_clip", "clip_benchmark"):
        return name
    return PAPER_NAMES.get(f"{source}:{name}", name)


def _model(
    key: str, source: str, name: str, released: dict[str, dict[str, float]], architectures: dict[str, dict[str, str]]
) -> dict[str, object]:
    architecture, _, pretraining = key.partition("/")
    of_open_clip = architecture in architectures
    sizes: dict[str, float | None] = dict.fromkeys(SIZES)
    if of_open_clip:
        profile = architectures[architecture]
        sizes = {
            "params_m": float(profile["mparams"]),
            "image_params_m": float(profile["image_mparams"]),
            "gflops": float(profile["gflops"]),
            "image_gflops": float(profile["image_gflops"]),
        } | released.get(key, {})
    hubs = [hub for hub, known in HUB_NAMES.items() if known == key]
    return {
        "key": key,
        "open_clip": [architecture, pretraining] if key in released else None,
        "hub": hubs[0] if hubs else name if source == "mteb" and "/" in name else None,
        "architecture": architecture if of_open_clip else None,
        "pretraining": pretraining if of_open_clip else None,
        **sizes,
        "names": {},
    }
