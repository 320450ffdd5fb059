"""The kinds of models: a row for each, with all that is known about it while no model is loaded.

A new kind is an adapter, a module with `load(spec: Spec) -> Encoder`, and a row. Another package adds a row by an entry
point of the group `mlcd_eval.encoders`: the entry point's name is the kind, its value an EncoderKind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.encoders import checks, places
from mlcd_eval.encoders.families import local
from mlcd_eval.encoders.places import Place
from mlcd_eval.encoders.spec import OBJECT, Spec, refuse_object
from mlcd_eval.support.registry import Registry

CHECKPOINT = "checkpoint"
"""The kind of a path without a kind; a spec cannot start with it."""


def _adds_nothing(_: object) -> str:
    return ""


def _all_is_well(_: Spec) -> None:
    """Where nothing can be checked before the model is loaded."""


def _no_files(_: Spec) -> list[Path]:
    return []


def _unknown_before_loading(_: Spec) -> bool | None:
    return None


@dataclass(frozen=True)
class Option:
    """`?name=value` after a target.

    metavar: how help and messages show a value; pattern: a regular expression for the whole value; label: from all
    options of a spec to what this one adds to the model's name, for options that change numbers.
    """

    name: str
    metavar: str
    help: str
    pattern: str = ".+"
    label: Callable[[Mapping[str, str]], str] = _adds_nothing


@dataclass(frozen=True)
class EncoderKind:
    """One kind of model.

    module: the adapter, imported when a model is loaded.
    forms: how a spec is written -> what that means, as `mlcd-eval ls models` shows them.
    package: what the adapter imports beside this package's requirements; extra: the extra of mlcd-eval that installs
    it, None where its own documentation says how.
    place: from a target to where that is; the model's name is the last part of a local path or of a repository, else
    the target.
    check: raises UserError for what is wrong with a spec, without importing a model library.
    has_text: whether the model of a spec that passed `check` has a text tower, as far as its local config tells without
    importing a model library; None where only loading tells.
    architectures: further targets for `ls models`.
    files: the local files from which the model of a spec is made, if it depends on nothing else; its EncoderInfo is
    then remembered until one of them or a library changes. An empty list if it depends on more.
    probed: whether the outputs for a fixed image and fixed texts belong to the fingerprint. False for an adapter whose
    modules and settings show all that features depend on; it must be where `files` are given (probe.py says why).
    version: to be raised when a change to the adapter changes features; part of the fingerprint.
    is_function: whether the target is a user's function, which any `?NAME=VALUE` is an argument of.
    """

    module: str
    forms: Mapping[str, str]
    options: tuple[Option, ...] = ()
    package: str | None = None
    extra: str | None = None
    place: Callable[[str], Place] = places.listed
    check: Callable[[Spec], None] = _all_is_well
    has_text: Callable[[Spec], bool | None] = _unknown_before_loading
    architectures: Callable[[], Sequence[str]] = list
    files: Callable[[Spec], list[Path]] = _no_files
    probed: bool = True
    version: int = 1
    is_function: bool = False


def _value_label(name: str) -> Callable[[Mapping[str, str]], str]:
    return lambda options: f"_{name}_{options[name]}"


def _random_label(options: Mapping[str, str]) -> str:
    return f"_random_seed{options.get('seed', 0)}"


INIT = Option("init", "random", "weights drawn at random instead of pretrained ones", "random", _random_label)
SEED = Option("seed", "N", "which random weights (default 0)", r"\d+")
WEIGHTS_FILE = Option(
    "checkpoint",
    "FILE",
    "local weights, with any classifier or none",
    label=lambda options: f"_{Path(options['checkpoint']).stem}",
)
IMAGE_SIZE = Option(
    "img_size",
    "N",
    "side of the images in pixels, where the architecture depends on it",
    r"[1-9]\d*",
    lambda options: f"_{options['img_size']}px",
)
POOL = Option(
    "pool",
    "pooler|cls|mean",
    "the pooled feature: the model's own, the class token, or the mean of the patches",
    "pooler|cls|mean",
    _value_label("pool"),
)
TOWER = Option("tower", "vision", "the image tower out of a larger model", "vision")
SIDE = Option("image_size", "N", "side of the images in pixels", r"[1-9]\d*", lambda o: f"_{o['image_size']}px")
_NUMBERS = r"-?\d+(\.\d+)?(,-?\d+(\.\d+)?){2}"
MEAN = Option("mean", "R,G,B", "mean of the images' channels in [0, 1]", _NUMBERS, _value_label("mean"))
STD = Option("std", "R,G,B", "standard deviation of the images' channels", _NUMBERS, _value_label("std"))
CLEAN = Option(
    "clean",
    "lower|canonical|none",
    "cleaning of texts: lower-cased, the same without punctuation (as open_clip does for SigLIP 2), or none",
    "lower|canonical|none",
    _value_label("clean"),
)
ADAPTOR = Option("adaptor", "NAME", "one of RADIO's heads, not its backbone", r"[\w.-]+", _value_label("adaptor"))
DEVICE_MAP = Option("device_map", "auto", "spreads a large model over devices, as accelerate does")


def _folder_files(spec: Spec) -> list[Path]:
    return places.files_below(Path(spec.target))


def _open_clip_files(spec: Spec) -> list[Path]:
    """None where the text tower is another library's: its config comes from elsewhere."""
    folder = places.prefixed(spec.target).path
    if folder is None or b'"hf_model_name"' in (folder / "open_clip_config.json").read_bytes():
        return []
    return places.files_below(folder)


def _timm_files(spec: Spec) -> list[Path]:
    files = places.files_below(places.prefixed(spec.target).path)
    weights = [Path(spec.options["checkpoint"])] if "checkpoint" in spec.options else []
    return [*files, *weights] if files else []


def _transformers_files(spec: Spec) -> list[Path]:
    """None where a repository's code may run, which may lie elsewhere."""
    return [] if spec.trust_remote_code else places.files_below(places.folder_or_repository(spec.target).path)


ADAPTERS = "mlcd_eval.encoders.adapters"
KINDS: Registry[EncoderKind] = Registry(
    "model kind",
    "mlcd_eval.encoders",
    {
        CHECKPOINT: EncoderKind(
            module=f"{ADAPTERS}.checkpoint",
            forms={"PATH": "a checkpoint folder of this project (config.json and model.safetensors)"},
            place=places.local,
            check=checks.check_checkpoint,
            files=_folder_files,
            probed=False,
        ),
        "open_clip": EncoderKind(
            module=f"{ADAPTERS}.open_clip",
            forms={
                "open_clip:ARCHITECTURE/TAG": "an open_clip architecture with pretrained weights",
                "open_clip:ARCHITECTURE/FILE": "the same with a state dict of your own",
                "open_clip:local-dir:PATH": "a folder that open_clip saved",
                "open_clip:hf-hub:ORG/NAME": "what open_clip saved, on the hub",
            },
            options=(INIT, SEED),
            package="open_clip",
            place=places.prefixed,
            check=checks.check_open_clip,
            architectures=checks.open_clip_architectures,
            files=_open_clip_files,
            probed=False,
        ),
        "hf": EncoderKind(
            module=f"{ADAPTERS}.hf.load",
            forms={
                "hf:ORG/NAME": "an image model of transformers (CLIP, SigLIP 2, DINOv3, ViT, ConvNeXt ...)",
                "hf:PATH": "the same from a local folder",
            },
            options=(POOL, TOWER, SIDE, MEAN, STD, CLEAN, ADAPTOR),
            package="transformers",
            extra="hf",
            place=places.folder_or_repository,
            check=local.check_encoder,
            has_text=local.has_text,
            files=_transformers_files,
            probed=False,
            version=2,
        ),
        "timm": EncoderKind(
            module=f"{ADAPTERS}.timm",
            forms={
                "timm:NAME": "a timm model",
                "timm:local-dir:PATH": "a folder that timm saved",
                "timm:hf-hub:ORG/NAME": "a timm model on the hub",
            },
            options=(INIT, SEED, WEIGHTS_FILE, IMAGE_SIZE),
            package="timm",
            extra="timm",
            place=places.prefixed,
            check=checks.check_timm,
            files=_timm_files,
            probed=False,
        ),
        "vlm": EncoderKind(
            module=f"{ADAPTERS}.vlm",
            forms={
                "vlm:ORG/NAME": "a vision-language model of transformers (LLaVA, LLaVA-OneVision, Qwen2-VL ...)",
                "vlm:PATH": "the same from a local folder",
            },
            options=(DEVICE_MAP,),
            package="transformers",
            extra="hf",
            place=places.folder_or_repository,
            check=local.check_folder,
        ),
        "vlmevalkit": EncoderKind(
            module=f"{ADAPTERS}.vlmevalkit",
            forms={"vlmevalkit:NAME": "a model of VLMEvalKit's list, where that package is installed"},
            package="vlmeval",
        ),
        "hf-seg": EncoderKind(
            module=f"{ADAPTERS}.hf_seg",
            forms={
                "hf-seg:ORG/NAME": "a model that segments by its repository's code, as MLCD-Seg; only with "
                "--trust-remote-code"
            },
            package="transformers",
            extra="hf",
            place=places.folder_or_repository,
            check=local.check_folder,
        ),
        "python": EncoderKind(
            module=f"{ADAPTERS}.python",
            forms={
                "python:MODULE:FACTORY": "a function that returns your own Encoder",
                "python:FILE.py:FACTORY": "the same in a file; ?NAME=VALUE are arguments of the function",
            },
            check=checks.check_python,
            is_function=True,
        ),
        OBJECT: EncoderKind(module="mlcd_eval.encoders.objects", forms={}, check=refuse_object),
    },
)


def written_kinds() -> list[str]:
    """Return the kinds that a spec can start with, those of other packages included."""
    return [name for name in KINDS if name not in (CHECKPOINT, OBJECT)]
