"""The settings of zero-shot classification, and how other sources measure it."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from mlcd_eval.data.translated_prompts import Translations
from mlcd_eval.protocols.classification.labelled import ZeroShotMetric
from mlcd_eval.protocols.classification.reliability_settings import ReliabilitySettings
from mlcd_eval.protocols.dialects import ProtocolDialect
from mlcd_eval.protocols.shared.languages import MACRO, Language
from mlcd_eval.protocols.shared.vector_layer import VectorLayer


class ZeroShotSettings(ReliabilitySettings):
    """metric: the primary one; None means acc1, or map_11point where an image has several labels; one of groups needs
    data that has them. class_names, templates: lists, or names of lists such as `clip` and `mteb` (data/prompts.py);
    None means the data set's own, else clip-benchmark's by its name. exif: turn images as their EXIF orientation says.
    A temperature (`calibration=fitted`) is fitted on val, else on train, of which nothing else is used. language: of
    class names and templates, which are those of `translations` unless the settings give others, and only images of
    the classes that have a name in it are scored; `macro` is the mean over all of its languages; None where it is not
    stated. translations: Babel-ImageNet, or clip-benchmark's by hand in four languages."""

    split: str = "test"
    layer: VectorLayer = "projected"
    exif: bool = False
    metric: ZeroShotMetric | None = None
    class_names: str | tuple[str, ...] | None = None
    templates: str | tuple[str, ...] | None = None
    language: Language | None = None
    translations: Translations = "babel-imagenet"

    @model_validator(mode="after")
    def _means_only_accuracies(self) -> ZeroShotSettings:
        if self.language == MACRO:
            others = [name for name in ("class_names", "templates") if getattr(self, name) is not None]
            if others or self.metric not in (None, "acc1") or self.reliability_given():
                named = [*others, *(["metric"] if self.metric not in (None, "acc1") else []), *self.reliability_given()]
                raise ValueError(f"expected only metric acc1 beside language macro: got {' and '.join(named)}")
        return self


_NOTEBOOK = "CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb of openai/CLIP"

DIALECTS = {
    "clip-benchmark": ProtocolDialect(
        {"metric": "acc1"},
        "CLIP_benchmark 1.6.2, metrics/zeroshot_classification.py",
        "Its command line encodes under autocast unless --no_amp is given, which is --precision here.",
    ),
    "clip": ProtocolDialect(
        {"class_names": "clip", "templates": "clip"},
        "CLIP (Radford et al. 2021), section 3.1.4 and appendix A; class names of its notebooks",
        "Templates are clip-benchmark's copies of data/prompts.md, which has 18 for RESISC45 (here 4) and 1 for PCam "
        "(here 2).",
    ),
    "imagenet7": ProtocolDialect({"class_names": "clip", "templates": "imagenet7"}, f"{_NOTEBOOK}: the 7 best of 80"),
    "a-photo-of-a": ProtocolDialect(
        {"class_names": "clip", "templates": ("a photo of a {c}.",)}, "CLIP, section 3.1.4: the default prompt"
    ),
    "one-template": ProtocolDialect({"templates": "first"}, "the first template of the data set's list alone"),
    "names": ProtocolDialect({"templates": "none"}, "CLIP, figure 4: class names without a prompt"),
    "mteb": ProtocolDialect(
        {"class_names": "mteb", "templates": "mteb", "metric": "acc1", "exif": True},
        "mteb 2.26, abstasks/zeroshot_classification.py: one prompt per class",
        "Class names of its own copies on the hub (cars, dtd, pets and others that it reads from there) are those of "
        "the data at hand; texts are cleaned as the model here does it (?clean=).",
    ),
}


FACTORS: dict[str, tuple[Any, ...]] = {
    "templates": (None, "clip", "imagenet7", "mteb", ("a photo of a {c}.",), "first", "none"),
    "class_names": (None, "clip", "mteb", "wordnet", "words"),
    "metric": (None, "acc1", "mean_per_class_recall"),
    "exif": (False, True),
}


SWEPT: dict[str, tuple[Any, ...]] = {"language": ()}
