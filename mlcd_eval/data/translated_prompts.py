"""Class names and templates of ImageNet in other languages, as clip-benchmark has them.

Babel-ImageNet (Geigle et al. 2023) has names of some of the classes, so that a language is scored on the images of
these; clip-benchmark's own translations, by hand in four languages, of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

from mlcd_eval.data.prompt_lists import clip_benchmark_lists
from mlcd_eval.data.prompts import Prompts
from mlcd_eval.errors import IncompatibleError, nearest

NAMES, TEMPLATES = "babel_imagenet.json", "nllb_dist13b_prompts.json"
IMAGENET = ("imagenet1k", "imagenet")
BY_HAND = {"ar": "ar", "it": "it", "ja": "jp", "zh": "cn"}
"""Language -> how clip-benchmark's files call it."""
EVERY = "macro"
"""The word for all languages, each with prompts of its own."""

Translations = Literal["babel-imagenet", "clip-benchmark"]
_Makers = Mapping[str, Callable[[], Prompts]]


def translated_prompts(dataset: str, language: str, translations: Translations = "babel-imagenet") -> Prompts:
    """The prompts of a data set in a language, or in EVERY language.

    Raises IncompatibleError for data that is not ImageNet, and for a language without names or templates.
    """
    if dataset.rsplit("/", 1)[-1].removeprefix("wds_") not in IMAGENET:
        raise IncompatibleError(
            f"class names in {language!r} are known of ImageNet alone: got {dataset}, expected no language, or lists "
            "in it by --classnames and --templates"
        )
    makers = _babel_imagenet() if translations == "babel-imagenet" else _clip_benchmark()
    if language == EVERY:
        return _union({code: makers[code]() for code in sorted(makers)}, translations)
    if language not in makers:
        raise IncompatibleError(
            f"{translations} has no prompts in {language!r}: expected one of {', '.join(sorted(makers))}"
            f"{nearest(language, list(makers))}"
        )
    return makers[language]()


def _babel_imagenet() -> _Makers:
    names, templates = clip_benchmark_lists(NAMES), clip_benchmark_lists(TEMPLATES)

    def made(code: str) -> Prompts:
        classes, of_classes = names[code]
        return Prompts(
            tuple(of_classes),
            tuple(template.replace("{}", "{c}") for template in templates[code]),
            f"class names: babel-imagenet:{code.lower()} ({len(of_classes)} of 1000 classes); "
            f"templates: nllb:{code.lower()}",
            tuple(int(number) for number in classes),
        )

    return {code.lower(): partial(made, code) for code in names if code in templates}


def _clip_benchmark() -> _Makers:
    def made(theirs: str) -> Prompts:
        names: Sequence[str] = clip_benchmark_lists(f"{theirs}_classnames.json")[IMAGENET[0]]
        templates = clip_benchmark_lists(f"{theirs}_zeroshot_classification_templates.json")[IMAGENET[0]]
        source = f"class names: clip-benchmark:{theirs}; templates: clip-benchmark:{theirs}"
        return Prompts(tuple(names), tuple(templates), source, tuple(range(len(names))))

    return {code: partial(made, theirs) for code, theirs in BY_HAND.items()}


def _union(parts: Mapping[str, Prompts], translations: Translations) -> Prompts:
    return Prompts(
        tuple(dict.fromkeys(name for part in parts.values() for name in part.class_names)),
        tuple(dict.fromkeys(template for part in parts.values() for template in part.templates)),
        f"class names and templates: {translations} ({len(parts)} languages)",
        tuple(sorted({number for part in parts.values() for number in part.classes or ()})),
        parts,
    )
