"""Tables of papers and READMEs: RICE, OneVision-Encoder, SigLIP 2, Perception Encoder, RADIO and TIPSv2."""

from __future__ import annotations

import json
from pathlib import Path

from tables import Column, Dialect, Row, Table

TEST = Dialect(split="test")
ZERO_SHOT = {
    "ImageNet zero-shot": ("imagenet1k", "zeroshot/imagenet"),
    "ImageNet-V2": ("imagenetv2", "zeroshot/imagenetv2"),
    "ImageNet-A": ("imagenet-a", "zeroshot/imagenet_a"),
    "ObjectNet": ("objectnet", "zeroshot/objectnet"),
}
RETRIEVAL = {
    "COCO text-to-image R@1": ("mscoco_captions", "text_to_image_recall@1"),
    "COCO image-to-text R@1": ("mscoco_captions", "image_to_text_recall@1"),
    "Flickr30k text-to-image R@1": ("flickr30k", "text_to_image_recall@1"),
    "Flickr30k image-to-text R@1": ("flickr30k", "image_to_text_recall@1"),
}
SEGMENTATION = {
    "ADE20K linear mIoU": ("seg_linear", "ade20k", "seg_linear/ade20k"),
    "VOC linear mIoU": ("seg_linear", "voc2012_segmentation", "seg_linear/voc2012"),
    "ADE150 zero-shot mIoU": ("seg_zeroshot", "ade20k", "seg_zeroshot/ade20k"),
}
DOCUMENTS = {"ChartQA": ("docvqa/chartqa", "relaxed_accuracy"), "DocVQA": ("docvqa/docvqa_val", "anls")}
DOCUMENTS["DocVQA val"] = DOCUMENTS["DocVQA"]
POINTS = {"OCRBench": ("points of 1000", 0), "MME-Cog": ("points", 0), "MME-Per": ("points", 0)}
AVERAGES = ("OCR avg", "other avg", "avg", "Roboflow100 avg")
PLACES = {
    "RICE table 1": ("rice/table1", "rice", "table 1", "vlm"),
    "RICE table 2": ("rice/table2", "rice", "table 2", "refcoco"),
    "RICE table 3": ("rice/table3", "rice", "table 3", "detection"),
    "RICE table 4": ("rice/table4", "rice", "table 4", "tracking"),
    "OneVision-Encoder table 4: attentive probe on video, 8 frames": (
        "onevision/table4_8_frames",
        "onevision",
        "table 4",
        "attentive_probe",
    ),
    "OneVision-Encoder table 4: attentive probe on video, 16 frames": (
        "onevision/table4_16_frames",
        "onevision",
        "table 4",
        "attentive_probe",
    ),
    "SigLIP 2": ("siglip2/readme", "siglip2", "configs/proj/image_text/README_siglip2.md", "vlm"),
    "Perception Encoder, core": ("perception_encoder/core", "perception_encoder", "apps/pe/README.md", "video"),
    "Perception Encoder, language": ("perception_encoder/language", "perception_encoder", "apps/pe/README.md", "vlm"),
    "Perception Encoder, spatial": ("perception_encoder/spatial", "perception_encoder", "apps/pe/README.md", "dense"),
    "RADIO": ("radio/models", "radio", "model_results.csv", "vlm"),
    "TIPSv2": ("tips/readme", "tips", "README.md", "dense"),
}
"""Title, or its start -> group, source, table, and the protocol of columns that say no other."""


def tables(atlas: Path) -> list[Table]:
    contents = json.loads((atlas / "papers.json").read_text(encoding="utf-8"))
    return [_table(content) for content in contents]


def _table(content: dict) -> Table:
    title = content["title"]
    group, source, file, protocol = PLACES[title] if title in PLACES else PLACES[title.partition(":")[0]]
    headings = list(dict.fromkeys(heading for row in content["rows"] for heading in row["values"]))
    cleaning = "lower-cased, padded to 64 tokens" if source == "siglip2" else None
    columns = [_column(heading, protocol, cleaning) for heading in headings]
    rows = [
        Row(
            row["model"],
            row["model"],
            title if source in ("rice", "onevision") else "",
            {place: row["values"][heading] for place, heading in enumerate(headings) if heading in row["values"]},
        )
        for row in content["rows"]
    ]
    for row in rows:
        assert all(value is None or isinstance(value, float) for value in row.values.values())
    decimals = max(len(repr(value).split(".")[1]) for row in rows for value in row.values.values() if value is not None)
    return Table(
        group, source, title, file, content["unit"], columns, rows, "percent", decimals, notes=content.get("notes")
    )


def _column(heading: str, protocol: str, cleaning: str | None) -> Column:
    if heading in ZERO_SHOT:
        dataset, task = ZERO_SHOT[heading]
        return Column(heading, "zeroshot", dataset, task, "acc1", Dialect(split="test", text_cleaning=cleaning))
    if heading in RETRIEVAL:
        dataset, metric = RETRIEVAL[heading]
        dialect = Dialect(split="test", text_cleaning=cleaning)
        return Column(heading, "retrieval", dataset, f"retrieval/{dataset}", metric, dialect)
    if heading in DOCUMENTS and protocol == "vlm":
        task, metric = DOCUMENTS[heading]
        dataset = "DocVQA val" if heading == "DocVQA" else heading
        return Column(heading, "docvqa", dataset, task, metric, Dialect(as_task=task))
    if heading == "ImageNet kNN":
        return Column(heading, "knn", "imagenet1k", "knn/imagenet", "knn_acc1", TEST)
    if heading in SEGMENTATION:
        protocol, dataset, task = SEGMENTATION[heading]
        return Column(heading, protocol, dataset, task, "miou", Dialect(split="val"))
    if heading == "DAVIS J&F":
        return Column(heading, "tracking", "davis2017", "tracking/davis2017", "jf_mean", Dialect(split="val"))
    if protocol == "refcoco":
        name, split = heading.split()
        task = f"refcoco/{name.lower()}_{split}"
        return Column(heading, protocol, heading, task, "overall_iou", Dialect(as_task=task))
    if heading in POINTS:
        unit, decimals = POINTS[heading]
        return Column(heading, protocol, heading, None, "score", extra=(("unit", unit), ("decimals", decimals)))
    if heading == "NYUv2 RMSE":
        extra = (("unit", "metres"), ("decimals", 3), ("higher_is_better", False))
        return Column(heading, "depth_linear", "nyuv2", "depth_linear/nyuv2", "rmse", TEST, extra)
    if heading == "Throughput":
        return Column(heading, protocol, heading, None, "throughput", extra=(("unit", "images/s"), ("decimals", 0)))
    return Column(heading, protocol, heading, None, "mean" if heading in AVERAGES else "score")
