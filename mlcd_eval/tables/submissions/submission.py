"""What a receiver is asked to take, and what it is given."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlcd_eval.records import Result

URL = r"^https?://([A-Za-z0-9-]+\.)+[A-Za-z]{2,}(:\d+)?(/\S*)?$"
"""An address on a named host, without a user name or password."""


class Options(BaseModel):
    """What no record says.

    paper, paper_title, paper_date: where the numbers are published. code: address of code or weights. model_id: the
    model's repository on the Hugging Face hub. organization: who made the evaluation; relationship: of them to the
    model's maker. benchmark: ORG/NAME[@REVISION]=FILE, a benchmark registered on the hub and its eval.yaml.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: str | None = Field(default=None, pattern=URL)
    paper_title: str | None = Field(default=None, min_length=1)
    paper_date: datetime.date | None = None
    code: str | None = Field(default=None, pattern=URL)
    model_id: str | None = Field(default=None, pattern=r"^\w[\w.-]*/\w[\w.-]*$")
    organization: str | None = Field(default=None, min_length=1)
    relationship: Literal["first_party", "third_party", "collaborative", "other"] | None = None
    benchmark: str | None = Field(default=None, pattern=r"^\w[\w.-]*/\w[\w.-]*(@[\w.-]+)?=.+$")


@dataclass(frozen=True)
class Request:
    """Records that may be submitted, what no record says, and how to read a file that is in the output folder already.

    present: path relative to the output folder -> the file's text, None where there is none. allow_partial: whether
    numbers over a part of the data are taken, and marked.
    """

    results: Sequence[Result]
    options: Options = field(default_factory=Options)
    present: Callable[[str], str | None] = lambda _: None
    allow_partial: bool = False


@dataclass
class Submission:
    """files: path relative to the output folder -> text. refused: what is not accepted, and why. notes: for the person
    who hands it in."""

    files: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def submittable(results: Sequence[Result], allow_partial: bool = False) -> tuple[list[Result], list[str]]:
    """The records whose numbers are results of their task, and a sentence about each of the others."""
    reasons = {id(result): _reason(result, allow_partial) for result in results}
    refused = [
        f"{result.task.name} of {result.model.name}: {reason}"
        for result in results
        if (reason := reasons[id(result)]) is not None
    ]
    return [result for result in results if reasons[id(result)] is None], refused


def _reason(result: Result, allow_partial: bool) -> str | None:
    if result.status != "ok":
        return "the task failed"
    if result.limit is not None and not allow_partial:
        return f"it is over the first {result.limit:,} samples only (--limit)"
    if result.primary is None or result.primary.value is None:
        return "its primary metric is undefined"
    return None


def slug(text: str) -> str:
    """The text in the letters a-z, digits and hyphens; `+` as `plus`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("+", " plus ")).strip("-")


def unique_slug(text: str) -> str:
    """The slug with eight digits of a hash, so that different texts have different slugs."""
    return f"{slug(text)[:60]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
