"""Questions about page images: DocVQA and InfographicVQA (ANLS), ChartQA (relaxed accuracy), TextVQA (VQA accuracy).

There are two ways to get an answer: `native`, a vision-language model's own, decoded greedily; `probe`, by a rule from
the words that are read in a bare encoder's patch features (reading_probe.py), which measures how much of the text they
keep. The probe learns from rendered pages, whatever the data set, and says in the record from which height of letters
on words are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from mlcd_eval.data.annotations import Annotation, Question, Word
from mlcd_eval.data.predictions import read_answers
from mlcd_eval.data.rendered import RENDERED
from mlcd_eval.encoders.base import PATCHES, EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Control, Elsewhere, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.shared.framed import FramedSettings

QUESTION = "{question}"


class DocVQASettings(FramedSettings):
    """split: the scored split; None means the only one besides train. metric: the primary one. mode: `auto` means the
    model's own answers if it gives answers, else the probe. prompt: the text around the question, by default that of
    lmms-eval and VLMEvalKit."""

    squares_only = True

    split: str | None = None
    metric: Literal["anls", "relaxed_accuracy", "vqa_accuracy"] = "anls"
    mode: Literal["auto", "native", "probe"] = "auto"
    prompt: str = f"{QUESTION}\nAnswer the question using a single word or phrase."
    max_new_tokens: int = Field(default=32, ge=1)

    @field_validator("prompt")
    @classmethod
    def _has_question(cls, prompt: str) -> str:
        if QUESTION not in prompt:
            raise ValueError(f"expected {QUESTION} in the prompt, where the question goes")
        return prompt


ELSEWHERE = Elsewhere(tasks=("Visual Question Answering (VQA)",), hub_task="document-question-answering")


class DocVQA(Protocol[DocVQASettings]):
    """Intervals are over documents, since questions about one page are not independent. details.by_type: the primary
    metric for each type of question."""

    name = "docvqa"
    version = 3
    kinds = ("docvqa",)
    takes_predictions = True
    elsewhere = ELSEWHERE
    picture_side = 640  # a page, to be read
    usual_settings = (("mode", "native"),)

    def needs(self, settings: DocVQASettings) -> Needs:
        """Return the ability `answer` for a model's own answers, with the prompt."""
        ability = "answer" if settings.mode == "native" else None
        return Needs(ability=ability, prompt=settings.prompt, max_new_tokens=settings.max_new_tokens)

    def requests(self, settings: DocVQASettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patch features of rendered pages and of the scored split; none for a model's own answers."""
        scored = self.scored_split(settings, splits)
        if settings.mode != "probe":
            return {}
        return {
            "rendered": ImageRequest(RENDERED, PATCHES, letterbox=True, frame=settings.frame),
            "test": ImageRequest(scored, PATCHES, letterbox=True, frame=settings.frame),
        }

    def scored_split(self, settings: DocVQASettings, splits: Sequence[str]) -> str:
        """Return the scored split. Raises IncompatibleError if it is missing, or if it is not set and not unique."""
        own = [split for split in splits if split != RENDERED]
        others = [split for split in own if split != "train"]
        if settings.split is not None and settings.split not in own:
            raise IncompatibleError(f"docvqa reads the split {settings.split!r}: got {', '.join(own)}")
        if settings.split is None and len(others) != 1:
            raise IncompatibleError(f"docvqa scores one split: got {', '.join(own)}, expected settings.split")
        return settings.split or others[0]

    def for_model(self, settings: DocVQASettings, info: EncoderInfo) -> DocVQASettings:
        """Decide `auto`. Raises IncompatibleError if the mode is native and the model gives no answers."""
        answers = "answer" in info.abilities
        mode = settings.mode if settings.mode != "auto" else "native" if answers else "probe"
        if mode == "native" and not answers:
            raise IncompatibleError(f"docvqa's mode is native: got model {info.spec!r}, which answers no questions")
        if mode == "native":
            settings.refuse_for_own_outputs(self.name, info)
        return settings.model_copy(update={"mode": mode})

    def for_predictions(self, settings: DocVQASettings) -> DocVQASettings:
        """Return the settings of a model's own answers, as which saved answers are scored."""
        return settings.model_copy(update={"mode": "native"})

    def read_predictions(self, path: Path, annotations: Sequence[Annotation]) -> Mapping[Any, Any]:
        """Read question_id -> answer."""
        return read_answers(path, _questions(annotations))

    def submission(self, predictions: Mapping[Any, Any]) -> Sequence[Mapping[str, Any]]:
        """Return [{"questionId", "answer"}], the form of the Robust Reading Competition."""
        return [{"questionId": number, "answer": answer} for number, answer in predictions.items()]

    def check_annotations(self, settings: DocVQASettings, split: str, annotations: Sequence[Annotation]) -> None:
        """Raise IncompatibleError for questions whose answers are not public."""
        if any(question.answers is None for question in _questions(annotations)):
            raise IncompatibleError(
                f"split {split!r} cannot be scored: its file has no true answers, expected them (or --submit, which "
                f"writes the model's answers for the benchmark's server)"
            )

    def score(self, settings: DocVQASettings, inputs: Inputs) -> Scores:
        """From predictions {question_id: answer} where there are some, else from features."""
        questions = _questions(inputs.annotations["test"])
        unanswered = [question.question_id for question in questions if not question.answers]
        if unanswered or not questions:
            raise DataError(
                f"docvqa: {len(unanswered)} of {len(questions)} questions have no answers, first {unanswered[:1]}: "
                f"expected a split with public answers"
            )
        details: dict[str, Any] = {"mode": settings.mode}
        if inputs.predictions is not None:
            predictions = [str(inputs.predictions[question.question_id]) for question in questions]
            if settings.mode == "native":
                details |= {"prompt": settings.prompt, "max_new_tokens": settings.max_new_tokens}
        else:
            from mlcd_eval.protocols.docvqa import reading_probe

            predictions, more = reading_probe.read_answers(inputs, questions)
            details |= more
        return _scores(settings, questions, predictions, details, inputs.seed)

    def controls(self, settings: DocVQASettings, inputs: Inputs) -> list[Control]:
        """Of the words of rendered pages."""
        if settings.mode != "probe":
            return []
        from mlcd_eval.protocols.docvqa.controls import reading_controls

        words = [word for word in inputs.annotations["rendered"] if isinstance(word, Word)]
        with inputs.stage("controls", None, "pages") as advance:
            return reading_controls(words, inputs.seed, advance)


def _questions(annotations: Sequence[Annotation]) -> list[Question]:
    return [question for question in annotations if isinstance(question, Question)]


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
    """The mean outcome and the number of each class of questions; a question may be of several."""
    of_type: dict[str, list[float]] = {}
    for question, outcome in zip(questions, outcomes, strict=True):
        for kind in set(question.types):
            of_type.setdefault(kind, []).append(outcome)
    return {
        kind: {"value": float(np.mean(values)), "num_scored": len(values)} for kind, values in sorted(of_type.items())
    }
