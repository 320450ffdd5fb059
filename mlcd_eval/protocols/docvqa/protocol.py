"""Questions about page images: DocVQA and InfographicVQA (ANLS), ChartQA (relaxed accuracy), TextVQA (VQA accuracy).

Two ways to an answer: `native`, a vision-language model's own, greedy; `probe`, a light character decoder on a bare
encoder's patch features (reading_head.py), which measures how much of the text the encoder keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mlcd_eval.data.base import Question
from mlcd_eval.encoders.base import PATCHES, EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import ImageRequest, Inputs, Protocol, Scores

QUESTION = "{question}"


class DocVQASettings(BaseModel):
    """split: the one that is scored; None for the only one beside train. metric: the primary one. prompt: the text
    around the question; the default is lmms-eval's and VLMEvalKit's. mode: `auto` is the model's own answers where it
    gives answers, else the probe. steps: of the probe's training."""

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
        """Raises IncompatibleError where it is missing, or the settings name none and there are several."""
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
        """From the model's predictions {question_id: answer} if the inputs hold them, else from features."""
        questions = [item for item in inputs.annotations["test"] if isinstance(item, Question)]
        unanswered = [question.question_id for question in questions if not question.answers]
        if unanswered or not questions:
            raise DataError(
                f"docvqa: {len(unanswered)} of {len(questions)} questions have no answers, first {unanswered[:1]}: "
                "expected a split with public answers"
            )
        details: dict[str, Any] = {"mode": settings.mode}
        if inputs.predictions is not None:
            predictions = [str(inputs.predictions[question.question_id]) for question in questions]
            if settings.mode == "native":
                details |= {"prompt": settings.prompt, "max_new_tokens": settings.max_new_tokens}
        else:
            from mlcd_eval.protocols.docvqa.reading_head import read_answers

            predictions, of_probe = read_answers(inputs, questions, settings.steps)
            details |= of_probe
        return _scores(settings, questions, predictions, details, inputs.seed)


def _scores(
    settings: DocVQASettings, questions: Sequence[Question], predictions: Sequence[str], details: Any, seed: int
) -> Scores:
    from mlcd_eval.metrics import text
    from mlcd_eval.metrics.table import measure

    answers = [question.answers or () for question in questions]
    pairs = list(zip(predictions, answers, strict=True))
    names = [settings.metric, *(("anls_compat",) if settings.metric == "anls" else ())]
    edits, lengths = zip(*(text.character_error(*pair) for pair in pairs), strict=True)
    samples: dict[str, list[Any]] = {
        "key": [question.question_id for question in questions],
        "document": [question.document for question in questions],
        "image": [question.image for question in questions],
        "question": [question.text for question in questions],
        "answer": list(predictions),
        "answers": [list(known) for known in answers],
        **{name: [text.ANSWER_SCORES[name](*pair) for pair in pairs] for name in names},
        "edits": list(edits),
        "answer_length": list(lengths),
    }
    return Scores(
        metrics=[measure(name, samples, seed) for name in (*names, "character_error_rate")],
        primary=settings.metric,
        samples=samples,
        details={
            **details,
            "by_type": _by_type(questions, samples[settings.metric]),
            "num_documents": len(set(samples["document"])),
        },
    )


def _by_type(questions: Sequence[Question], outcomes: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Class of questions -> the mean of their outcomes and their number; a question may belong to several classes."""
    of_type: dict[str, list[float]] = {}
    for question, outcome in zip(questions, outcomes, strict=True):
        for kind in set(question.types):
            of_type.setdefault(kind, []).append(outcome)
    return {
        kind: {"value": float(np.mean(values)), "num_scored": len(values)} for kind, values in sorted(of_type.items())
    }
