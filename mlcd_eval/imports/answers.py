"""Data sets of questions that several harnesses score: our task, what their number is, and answers scored by our
metrics.

The ANLS that lmms-eval and VLMEvalKit compute is our `anls_compat`.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlcd_eval.metrics import text
from mlcd_eval.metrics.base import Metric

SCORERS: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "anls": text.anls,
    "anls_compat": text.anls_compat,
    "relaxed_accuracy": text.relaxed_accuracy,
    "vqa_accuracy": text.vqa_accuracy,
}


@dataclass(frozen=True)
class QuestionSet:
    """A data set of questions.

    task, split: ours. reported: the metric that the harnesses report. scored: our metrics of answers, the first ranks.
    several: a question has a list of right answers; otherwise text that looks like a list is one answer.
    """

    task: str
    split: str
    reported: str
    scored: tuple[str, ...]
    several: bool = True

    def known_answers(self, cell: Any) -> list[str]:
        """The right answers of a question, of a cell that holds one or the literal of a list of them."""
        answer = as_text(cell).strip()
        if self.several and answer.startswith("["):
            with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # no literal
                return [as_text(item) for item in ast.literal_eval(answer)]
        return [answer]

    def scores(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> dict[str, list[float]]:
        """Our metrics -> the score of each (prediction, right answers)."""
        return {name: [SCORERS[name](*pair) for pair in pairs] for name in self.scored}

    def metrics(self, pairs: Sequence[tuple[str, Sequence[str]]], suffix: str = "") -> tuple[Metric, ...]:
        """Our metrics of (prediction, right answers), means over the questions. suffix: of the metrics' names."""
        means = {name: sum(scores) / len(pairs) for name, scores in self.scores(pairs).items()}
        return tuple(Metric(name=name + suffix, value=mean, num_scored=len(pairs)) for name, mean in means.items())


DOCVQA = QuestionSet("docvqa/docvqa_val", "val", "anls_compat", ("anls", "anls_compat"))
INFOVQA = QuestionSet("docvqa/infovqa_val", "val", "anls_compat", ("anls", "anls_compat"))
TEXTVQA = QuestionSet("docvqa/textvqa", "val", "vqa_accuracy", ("vqa_accuracy",))
CHARTQA = QuestionSet("docvqa/chartqa", "test", "relaxed_accuracy", ("relaxed_accuracy",), several=False)


def as_text(value: Any) -> str:
    """A cell as text; an empty one is the empty text."""
    return "" if value is None else str(value)
