"""Texts in one language or in several: which of a data set's captions are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import StringConstraints

from mlcd_eval.data.annotations import Annotation, Captions
from mlcd_eval.errors import IncompatibleError, nearest
from mlcd_eval.protocols.base import Features, Inputs

MACRO = "macro"
"""The setting `language` of a mean over all languages of a data set."""

Language = Annotated[str, StringConstraints(pattern=r"^(macro|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)$")]
"""A code of BCP 47, such as `de` or `zh-Hant`, or MACRO."""


def languages_of(annotations: Sequence[Annotation]) -> dict[str, bool]:
    """The languages of the data, in its order -> whether an image has a caption in it that is not blank."""
    found: dict[str, bool] = {}
    for annotation in annotations:
        if isinstance(annotation, Captions):
            for language, texts in annotation.texts.items():
                found[language] = found.get(language, False) or any(text.strip() for text in texts)
    return found


def with_captions(annotations: Sequence[Annotation]) -> list[str]:
    """The languages in which an image has a caption that is not blank, in the order of the data."""
    return [language for language, has_text in languages_of(annotations).items() if has_text]


def check_language(language: str | None, split: str, annotations: Sequence[Annotation]) -> None:
    """Raise IncompatibleError for a language in which no image has a caption, and where one of several is to be
    chosen."""
    known = with_captions(annotations)
    if not known:
        raise IncompatibleError(f"split {split!r} has no captions: got only blank ones, expected at least one")
    if language is None and len(known) > 1:
        raise IncompatibleError(
            f"split {split!r} has captions in {len(known)} languages: got no language, expected --set language=CODE, a "
            f"list of codes or {MACRO!r}, of {', '.join(known)}"
        )
    if language not in (None, MACRO, *known):
        raise IncompatibleError(
            f"split {split!r} has no caption in {language!r}: expected one of {', '.join(known)}"
            f"{nearest(str(language), known)}"
        )


def captions_by_language(language: str | None, inputs: Inputs) -> dict[str | None, Sequence[tuple[str, ...]]]:
    """Language -> the captions of each image of the role `test`, row by row: of one language, or of all for MACRO."""
    images = inputs.images["test"]
    items = [item for item in inputs.annotations.get("test", ()) if isinstance(item, Captions)]
    if not items:
        return {language: images.texts}
    known = with_captions(items)
    chosen = known if language == MACRO else [language or known[0]]
    return {code: _of_rows(code, images, items) for code in chosen}


def _of_rows(language: str, images: Features, items: Sequence[Captions]) -> list[tuple[str, ...]]:
    by_image = {item.image: item.texts.get(language, ()) for item in items}
    return [by_image[key] for key in images.keys]
