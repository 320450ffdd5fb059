"""Class names and templates of ImageNet in many languages: Babel-ImageNet (Geigle et al. 2023), by clip-benchmark.

A language has names of some of the classes, so that it is scored on the images of these.
"""

from __future__ import annotations

from mlcd_eval.data.prompt_lists import clip_benchmark_lists
from mlcd_eval.data.prompts import Prompts
from mlcd_eval.errors import IncompatibleError, nearest

NAMES, TEMPLATES = "babel_imagenet.json", "nllb_dist13b_prompts.json"
IMAGENET = ("imagenet1k", "imagenet")


EVERY = "macro"
"""The word for all languages, each with prompts of its own."""


def translated_prompts(dataset: str, language: str) -> Prompts:
    """The prompts of a data set in a language, or in EVERY language.

    Raises IncompatibleError for data that is not ImageNet, and for a language without names or templates.
    """
    if dataset.rsplit("/", 1)[-1].removeprefix("wds_") not in IMAGENET:
        raise IncompatibleError(
            f"class names in {language!r} are known of ImageNet alone: got {dataset}, expected no language, or lists "
            "in it by --classnames and --templates"
        )
    names, templates = clip_benchmark_lists(NAMES), clip_benchmark_lists(TEMPLATES)
    known = [code.lower() for code in names if code in templates]
    if language == EVERY:
        parts = {code: translated_prompts(dataset, code) for code in sorted(known)}
        return Prompts(
            tuple(dict.fromkeys(name for part in parts.values() for name in part.class_names)),
            tuple(dict.fromkeys(template for part in parts.values() for template in part.templates)),
            f"class names: babel-imagenet ({len(parts)} languages); templates: nllb",
            tuple(sorted({number for part in parts.values() for number in part.classes or ()})),
            parts,
        )
    if language not in known:
        raise IncompatibleError(
            f"Babel-ImageNet has no prompts in {language!r}: expected one of {', '.join(sorted(known))}"
            f"{nearest(language, known)}"
        )
    classes, of_classes = names[language.upper()]
    return Prompts(
        tuple(of_classes),
        tuple(template.replace("{}", "{c}") for template in templates[language.upper()]),
        f"class names: babel-imagenet:{language} ({len(of_classes)} of 1000 classes); templates: nllb:{language}",
        tuple(int(number) for number in classes),
    )
