"""mteb's own evaluation on webdataset folders, run by mteb's python: `with_mteb.py MODEL WORK < jobs.json`.

Prints name -> scores as JSON. Nothing comes from the internet: tasks and encoder are made here for local data, the
evaluation is mteb's. Images reach mteb as `datasets` decodes them, in the order of the tars.
"""

from __future__ import annotations

import json
import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import open_clip
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores
from mteb.abstasks import AbsTaskRetrieval, AbsTaskZeroShotClassification
from mteb.abstasks.image.image_text_pair_classification import AbsTaskImageTextPairClassification
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction

IMAGES = ("png", "jpg", "jpeg", "webp")
MODEL, WORK = Path(sys.argv[1]), Path(sys.argv[2])
TIE = 1e-6


class OpenClip(AbsEncoder):
    """What mteb's wrapper of open_clip does, for a local folder and in float32."""

    def __init__(self, model_name: str, revision: str | None = None, device: str | None = None, **kwargs: Any) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(f"local-dir:{MODEL}", device="cpu")
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{MODEL}")
        self.kept: dict[bytes, torch.Tensor] = {}

    @torch.inference_mode()
    def encode(self, inputs: Any, **kwargs: Any) -> np.ndarray:
        rows = []
        for batch in inputs:
            if "image" in batch:
                rows += [self.image(image) for image in batch["image"]]
            else:
                rows.append(self.model.encode_text(self.tokenizer(batch["text"])))
        return torch.cat(rows).numpy()

    def image(self, image: Any) -> torch.Tensor:
        """The features (1, D) of an image, which is encoded once for both directions of a search."""
        contents = image.tobytes()
        if contents not in self.kept:
            self.kept[contents] = self.model.encode_image(self.preprocess(image)[None])
        return self.kept[contents]


META = ModelMeta(
    loader=OpenClip, name="local/model", revision="local", languages=["eng-Latn"], release_date="2024-01-01",
    modalities=["image", "text"], n_parameters=None, n_embedding_parameters=None, memory_usage_mb=None, max_tokens=None,
    embed_dim=None, license=None, open_weights=True, public_training_code=None, public_training_data=None,
    framework=["PyTorch"], reference=None, similarity_fn_name=ScoringFunction.COSINE, use_instructions=False,
    training_datasets=None,
)  # fmt: skip


@cache
def loaded() -> Any:
    return META.load_model()


def metadata(name: str, kind: str, category: str, main: str) -> TaskMetadata:
    return TaskMetadata(
        name=name, description="local data", reference=None, dataset={"path": "local/none", "revision": "local"},
        type=kind, category=category, eval_splits=["test"], eval_langs=["eng-Latn"], main_score=main,
        date=("2024-01-01", "2024-01-02"), domains=["Web"], task_subtypes=["Object recognition"],
        license="not specified", annotations_creators="derived", dialect=[], modalities=["image", "text"],
        sample_creation="created", bibtex_citation="",
    )  # fmt: skip


def samples(split: Path) -> list[dict[str, Any]]:
    """The files of each sample by suffix, images under `image`."""
    found: dict[str, dict[str, Any]] = {}
    for number in range(int((split / "nshards.txt").read_text())):
        with tarfile.open(split / f"{number}.tar") as tar:
            for member in tar:
                stem, _, kind = member.name.partition(".")
                data = tar.extractfile(member).read()
                found.setdefault(f"{number} {stem}", {})["image" if kind in IMAGES else kind] = data
    return list(found.values())


def images(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"bytes": row["image"], "path": None} for row in rows]


def evaluated(task: Any) -> tuple[dict[str, Any], Any]:
    """mteb's scores of a task and its predictions."""
    model = loaded()
    result = mteb.evaluate(
        model, task, cache=None, encode_kwargs={"batch_size": 32, "show_progress_bar": False},
        prediction_folder=WORK, show_progress_bar=False, co2_tracker=False,
    )  # fmt: skip
    [scores] = result.task_results[0].scores["test"]
    predictions = json.loads((WORK / f"{task.metadata.name}_predictions.json").read_text())
    return scores, predictions["default"]["test"]


def zeroshot(number: int, folder: Path) -> dict[str, Any]:
    names = (folder / "classnames.txt").read_text(encoding="utf-8").splitlines()
    rows = samples(folder / "test")
    columns = {"image": images(rows), "label": [int(row["cls"]) for row in rows]}
    data = Dataset.from_dict(columns, features=Features({"image": Image(), "label": ClassLabel(names=names)}))

    class Task(AbsTaskZeroShotClassification):
        def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
            self.dataset, self.data_loaded = DatasetDict({"test": data}), True

        def get_candidate_labels(self) -> list[str]:
            return [f"a photo of {name}." for name in names]  # as mteb's task on ImageNet

    Task.metadata = metadata(f"ZeroShot{number}", "ZeroShotClassification", "i2t", "accuracy")
    scores, probabilities = evaluated(Task())
    return {"accuracy": scores["accuracy"], "predictions": np.argmax(probabilities, axis=1).tolist()}


def retrieval(number: int, folder: Path) -> dict[str, Any]:
    rows = samples(folder / "test")
    captions = [[text for text in row["txt"].decode().split("\n") if text.strip()] for row in rows]
    image_ids = [f"i{row:06d}" for row in range(len(rows))]
    of = [image for image, texts in zip(image_ids, captions, strict=True) for _ in texts]
    text_ids = [f"t{row:06d}" for row in range(len(of))]
    columns = {"image": images(rows), "id": image_ids}
    pictures = Dataset.from_dict(columns, features=Features({"image": Image(), "id": Value("string")}))
    texts = Dataset.from_dict({"id": text_ids, "text": [text for texts in captions for text in texts]})
    right: dict[str, dict[str, dict[str, int]]] = {"text_to_image": {}, "image_to_text": {}}
    for text, image in zip(text_ids, of, strict=True):
        right["text_to_image"][text] = {image: 1}
        right["image_to_text"].setdefault(image, {})[text] = 1
    sides = {"text_to_image": (texts, pictures, "t2i"), "image_to_text": (pictures, texts, "i2t")}

    def scored(direction: str) -> dict[str, Any]:
        queries, corpus, category = sides[direction]

        class Task(AbsTaskRetrieval):
            def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
                parts = {"queries": queries, "corpus": corpus, "relevant_docs": right[direction], "top_ranked": None}
                self.dataset, self.data_loaded = {"default": {"test": parts}}, True

        Task.metadata = metadata(f"Retrieval{number}{direction}", "Any2AnyRetrieval", category, "ndcg_at_10")
        scores, ranking = evaluated(Task())
        every = calculate_retrieval_scores(ranking, right[direction], (1, 5, 10)).all_scores
        order = list(queries["id"])
        each = {"ndcg@10": "ndcg_cut_10", "map@10": "map_cut_10"}
        each |= {f"recall@{k}": f"success_{k}" for k in (1, 5, 10)} | {f"found@{k}": f"recall_{k}" for k in (1, 5, 10)}
        by_query = {name: [every[query][theirs] for query in order] for name, theirs in each.items()}
        assert abs(np.mean(by_query["ndcg@10"]) - scores["ndcg_at_10"]) < 1e-5  # which mteb rounds to five digits
        by_query["mrr@10"] = [first(ranking[query], right[direction][query]) for query in order]
        assert abs(np.mean(by_query["mrr@10"]) - scores["mrr_at_10"]) < 1e-9
        return by_query | {"tied": [tied(ranking[query], right[direction][query]) for query in order]}

    return {direction: scored(direction) for direction in sides}


def first(found: dict[str, float], good: dict[str, int]) -> float:
    """1 / the place of the first right answer among ten, as mteb's mrr sorts."""
    order = sorted(found, key=lambda item: (found[item], item), reverse=True)[:10]
    return next((1 / place for place, item in enumerate(order, 1) if item in good), 0.0)


def tied(found: dict[str, float], good: dict[str, int]) -> bool:
    """Whether a wrong answer is as similar as a right one to 1e-6."""
    wrong = np.array([score for item, score in found.items() if item not in good])
    return any((abs(wrong - found[item]) < TIE).any() for item in good if item in found)


def pairs(number: int, file: Path) -> dict[str, Any]:
    items = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    sides = {side: [f"{side}_{n}" for n in range(len(items[0][f"{side}s"]))] for side in ("image", "text")}
    columns = {
        name: [item[f"{side}s"][n] for item in items] for side, names in sides.items() for n, name in enumerate(names)
    }
    columns |= {
        name: [{"bytes": None, "path": str(file.parent / at)} for at in columns[name]] for name in sides["image"]
    }
    kinds = {name: Image() if name.startswith("image") else Value("string") for name in columns}
    data = Dataset.from_dict(columns, features=Features(kinds))

    class Task(AbsTaskImageTextPairClassification):
        images_column_names, texts_column_names = tuple(sides["image"]), tuple(sides["text"])

        def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
            self.dataset, self.data_loaded = DatasetDict({"test": data}), True

    Task.metadata = metadata(f"Pairs{number}", "Compositionality", "i2t", "accuracy")
    scores, similarities = evaluated(Task())
    each = [Task()._compute_metrics([torch.tensor(item)], *map(len, sides.values())) for item in similarities]
    names = {"text_accuracy": "text_acc", "image_accuracy": "image_acc", "group_accuracy": "accuracy"}
    return {
        **{name: scores[name] for name in names.values()},
        "each": [{ours: item[theirs] for ours, theirs in names.items()} for item in each],
    }


KINDS = {"zeroshot": zeroshot, "retrieval": retrieval, "pairs": pairs}


def main() -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    jobs = json.load(sys.stdin)
    out = {job["name"]: KINDS[job["kind"]](number, Path(job["folder"])) for number, job in enumerate(jobs)}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
