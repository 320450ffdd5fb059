"""How a published number was measured, as a structured value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache


@dataclass(frozen=True, slots=True)
class Dialect:
    """The settings behind a number; None where its source does not say.

    as_task: this package's task that measures in the same way, which then says the rest. prompts: `clip-benchmark:KEY`,
    `imagenet7`, `folder` for those of the copy of the data that is scored, or the one prompt itself; num_prompts: of
    each class. class_names: whose list. data: the source's
    name of the data set, where it has two copies of it. samples: the number of
    images scored. language: of the texts, or MTEB's subset. layer: of the features. probe: the classifier with its
    hyper-parameters. shots: images of each class to train on, or `all`; seeds: the number of draws that the number is
    the mean of.
    """

    as_task: str | None = None
    prompts: str | None = None
    num_prompts: int | None = None
    class_names: str | None = None
    text_cleaning: str | None = None
    data: str | None = None
    split: str | None = None
    samples: int | None = None
    language: str | None = None
    resize: str | None = None
    layer: str | None = None
    probe: str | None = None
    shots: int | str | None = None
    seeds: int | None = None

    def known(self) -> dict[str, int | str]:
        """The fields that are not None, by name."""
        return {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}

    @property
    def text(self) -> str:
        """`prompts=clip-benchmark:dtd, split=test`."""
        return _text(self)


NOT_STATED = Dialect()
FIELDS = tuple(field.name for field in fields(Dialect))


@cache
def _text(dialect: Dialect) -> str:
    return ", ".join(f"{name}={value}" for name, value in dialect.known().items())
