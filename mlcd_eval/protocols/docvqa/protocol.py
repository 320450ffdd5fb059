"""Questions about page images: DocVQA and InfographicVQA (ANLS), ChartQA (relaxed accuracy), TextVQA (VQA accuracy).

Two ways to an answer: `native`, a vision-language model's own, greedy; `probe`, a light character decoder on a bare
encoder's patch features (reading_head.py), which measures how much of the text the encoder keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mlcd_eval.data.base import Question
from mlcd_eval.encoders.base import PATCHES, EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.protocols.base import ImageRequest, Inputs, Protocol, Scores

QUESTION = "{question}"


class DocVQASettings(BaseModel):
    """split: that is scored; None for the only one beside train. metric: the primary one. prompt: around the question;
    the default is lmms-eval's and VLMEvalKit's. mode: `auto` is the model's own answers where it gives some, else the
    probe. steps: of the probe's training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: str | None = None
    metric: Literal["anls", "relaxed_accuracy", "vqa_accuracy"] = "anls"
    mode: Literal["auto", "native", "probe"] = "auto"
    prompt: str = f"{QUESTION}\nAnswer the question using a single word or phrase."
    max_new_tokens: int = Field(default=32, ge=1)
    steps: int = Field(default=2000, ge=1)

    @field_validator("prompt")
    @classmethod
    def _asks(cls, prompt: str) -> str:
        if QUESTION not in prompt:
            raise ValueError(f"expected {QUESTION} in the prompt, where the question goes")
        return prompt


class DocVQA(Protocol[DocVQASettings]):
    """Intervals are over documents: questions about one page are not independent. details.by_type: the primary metric
    for each class of questions."""

    name = "docvqa"
    Settings = DocVQASettings
    kinds = ("docvqa",)
    pwc_tasks = ("Visual Question Answering (VQA)",)
    hub_task_type = "document-question-answering"
    picture_side = 640  # a page, to be read
    usual_settings = (("mode", "native"),)

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """A probe is trained."""
        return settings.get("mode") == "probe"

    def requests(self, settings: DocVQASettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Patch features of train and of the scored split; none for a model's own answers."""
        scored = self.scored_split(settings, splits)
        if settings.mode != "probe":
            return {}
        if "train" not in splits or scored == "train":
            raise IncompatibleError(f"docvqa's probe learns from train: got the splits {', '.join(splits)}")
        return {
            "train": ImageRequest("train", PATCHES, letterbox=True),
            "test": ImageRequest(scored, PATCHES, letterbox=True),
        }

    def scored_split(self, settings: DocVQASettings, splits: Sequence[str]) -> str:
        """Raises IncompatibleError where it is missing, or not said and not clear."""
        others = [split for split in splits if split != "train"]
        if settings.split is not None and settings.split not in splits:
            raise IncompatibleError(f"docvqa reads the split {settings.split!r}: got {', '.join(splits)}")
        if settings.split is None and len(others) != 1:
            raise IncompatibleError(f"docvqa scores one split: got {', '.join(splits)}, expected settings.split")
        return settings.split or others[0]

    def for_model(self, settings: DocVQASettings, info: EncoderInfo) -> DocVQASettings:
        """Resolve `auto`; raises IncompatibleError for a model without answers whose mode is native."""
        answers = "answer" in info.abilities
        mode = settings.mode if settings.mode != "auto" else "native" if answers else "probe"
        if mode == "native" and not answers:
            raise IncompatibleError(f"docvqa's mode is native: got model {info.spec!r}, which answers no questions")
        return settings.model_copy(update={"mode": mode})

    def ability(self, settings: DocVQASettings) -> str | None:
        """A model's own answers come from its `answer`."""
        return "answer" if settings.mode == "native" else None

    def score(self, settings: DocVQASettings, inputs: Inputs) -> Scores:
        """From predictions {question_id: answer} where there are some, else from features."""
        questions = [one for one in inputs.annotations["test"] if isinstance(one, Question)]
        silent = [one.question_id for one in questions if not one.answers]
        if silent or not questions:
            raise DataError(
                f"docvqa: {len(silent)} of {len(questions)} questions have no answers, first {silent[:1]}: expected a "
                f"split with public answers"
            )
        details: dict[str, Any] = {"mode": settings.mode}
        if inputs.predictions is not None:
            predictions = [str(inputs.predictions[one.question_id]) for one in questions]
            if settings.mode == "native":
                details |= {"prompt": settings.prompt, "max_new_tokens": settings.max_new_tokens}
        else:
            from mlcd_eval.protocols.docvqa.reading_head import read_answers

            predictions, more = read_answers(inputs, questions, settings.steps)
            details |= more
        return _scores(settings, questions, predictions, details, inputs.seed)


def _scores(
    settings: DocVQASettings, questions: Sequence[Question], predictions: Sequence[str], details: Any, seed: int
) -> Scores:
    from mlcd_eval.metrics import text
    from mlcd_eval.metrics.interval import bootstrap_mean, bootstrap_ratio

    names = [settings.metric, *(("anls_compat",) if settings.metric == "anls" else ())]
    answers = [one.answers or () for one in questions]
    pairs = list(zip(predictions, answers, strict=True))
    values = {name: np.array([getattr(text, name)(*pair) for pair in pairs]) for name in names}
    documents = np.unique([one.document for one in questions], return_inverse=True)[1]
    rng, count = np.random.default_rng(seed), len(questions)
    metrics = [
        Metric(name=name, value=float(v.mean()), num_scored=count, ci95=bootstrap_mean(v, rng, documents))
        for name, v in values.items()
    ]
    edits, lengths = np.array([text.character_error(*pair) for pair in pairs], dtype=np.float64).T
    metrics.append(
        Metric(
            name="character_error_rate",
            value=float(edits.sum() / lengths.sum()) if lengths.sum() else None,
            higher_is_better=False,
            num_scored=count,
            ci95=bootstrap_ratio(edits, lengths, rng, documents),
        )
    )
    primary = values[settings.metric]
    types = sorted({kind for one in questions for kind in one.types})
    by_type = {
        kind: {
            "value": float(np.mean([v for v, one in zip(primary, questions, strict=True) if kind in one.types])),
            "num_scored": sum(kind in one.types for one in questions),
        }
        for kind in types
    }
    return Scores(
        metrics=metrics,
        primary=settings.metric,
        samples={
            "key": [one.question_id for one in questions],
            "document": [one.document for one in questions],
            "image": [one.image for one in questions],
            "question": [one.text for one in questions],
            "answer": list(predictions),
            "answers": [list(known) for known in answers],
            settings.metric: primary.tolist(),
        },
        details={**details, "by_type": by_type, "num_documents": int(documents.max()) + 1},
    )
