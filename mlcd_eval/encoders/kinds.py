"""The kinds of models: a row for each, with all that is known about it while no model is loaded.

A new kind is an adapter, a module with `load(spec: Spec) -> Encoder`, and a row. Another package adds a row by an entry
point of the group `mlcd_eval.encoders`: the entry point's name is the kind, its value an EncoderKind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.encoders import checks, listings, places
from mlcd_eval.encoders import options as opt
from mlcd_eval.encoders.families import local
from mlcd_eval.encoders.options import Option
from mlcd_eval.encoders.places import Place
from mlcd_eval.encoders.spec import OBJECT, Spec, refuse_object
from mlcd_eval.support.registry import Registry

CHECKPOINT = "checkpoint"
"""The kind of a path without a kind; a spec cannot start with it."""


def _all_is_well(_: Spec) -> None:
    """Where nothing can be checked before the model is loaded."""


def _no_files(_: Spec) -> list[Path]:
    return []


def _unknown_before_loading(_: Spec) -> bool | None:
    return None


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


def _folder_files(spec: Spec) -> list[Path]:
    return places.files_below(Path(spec.target))


def _config_folder(spec: Spec) -> Path | None:
    path = places.prefixed(spec.target).path
    return path.parent if path is not None and path.is_file() else path


def _open_clip_files(spec: Spec) -> list[Path]:
    """None where the text tower is another library's: its config comes from elsewhere."""
    folder = _config_folder(spec)
    if folder is None or b'"hf_model_name"' in (folder / "open_clip_config.json").read_bytes():
        return []
    return places.files_below(folder)


def _timm_files(spec: Spec) -> list[Path]:
    files = places.files_below(_config_folder(spec))
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
            has_text=checks.checkpoint_has_text,
            files=_folder_files,
            probed=False,
        ),
        "open_clip": EncoderKind(
            module=f"{ADAPTERS}.open_clip",
            forms={
                "open_clip:ARCHITECTURE/TAG": "an open_clip architecture with pretrained weights",
                "open_clip:ARCHITECTURE/FILE": "the same with a state dict of your own",
                "open_clip:local-dir:PATH": "a folder that open_clip saved, or one file of weights in it",
                "open_clip:hf-hub:ORG/NAME": "what open_clip saved, on the hub",
            },
            options=(opt.INIT, opt.SEED, opt.LIKE, *opt.IMAGES, opt.KEY, opt.CONTEXT),
            package="open_clip",
            extra="run",
            place=places.prefixed,
            check=checks.check_open_clip,
            has_text=checks.open_clip_has_text,
            architectures=listings.open_clip_architectures,
            files=_open_clip_files,
            probed=False,
            version=2,
        ),
        "hf": EncoderKind(
            module=f"{ADAPTERS}.hf.load",
            forms={
                "hf:ORG/NAME": "an image model of transformers (CLIP, SigLIP 2, DINOv3, ViT, ConvNeXt ...)",
                "hf:PATH": "the same from a local folder",
            },
            options=(opt.POOL, opt.TOWER, opt.SIDE, opt.MEAN, opt.STD, opt.CLEAN, opt.ADAPTOR, opt.CONTEXT),
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
                "timm:local-dir:PATH": "a folder that timm saved, or one file of weights in it",
                "timm:hf-hub:ORG/NAME": "a timm model on the hub",
            },
            options=(opt.INIT, opt.SEED, opt.WEIGHTS_FILE, opt.KEY, opt.IMAGE_SIZE, opt.TEST_SIZE, opt.GLOBAL_POOL),
            package="timm",
            extra="timm",
            place=places.prefixed,
            check=checks.check_timm,
            has_text=checks.no_joint_space,
            files=_timm_files,
            probed=False,
            version=2,
        ),
        "torchvision": EncoderKind(
            module=f"{ADAPTERS}.torchvision",
            forms={"torchvision:NAME": "a classification model of torchvision"},
            options=(opt.INIT, opt.SEED, opt.WEIGHTS, opt.LIKE, opt.KEY),
            package="torchvision",
            extra="run",
            check=checks.check_torchvision,
            has_text=checks.no_joint_space,
            probed=False,
        ),
        "onnx": EncoderKind(
            module=f"{ADAPTERS}.onnx",
            forms={"onnx:FILE": "an image tower exported to ONNX, by ONNX Runtime; a text tower by text="},
            options=(
                opt.ONNX_TEXT,
                opt.ONNX_TOKENIZER,
                opt.SIDE,
                opt.MEAN,
                opt.STD,
                opt.INTERPOLATION,
                opt.RESIZE,
                opt.GLOBAL_POOL,
            ),
            package="onnxruntime",
            extra="onnx",
            place=places.local,
            check=checks.check_onnx,
            has_text=checks.onnx_has_text,
        ),
        "vlm": EncoderKind(
            module=f"{ADAPTERS}.vlm",
            forms={
                "vlm:ORG/NAME": "a vision-language model of transformers (LLaVA, LLaVA-OneVision, Qwen2-VL ...)",
                "vlm:PATH": "the same from a local folder",
            },
            options=(opt.DEVICE_MAP,),
            package="transformers",
            extra="hf",
            place=places.folder_or_repository,
            check=local.check_folder,
            has_text=checks.no_joint_space,
        ),
        "vlmevalkit": EncoderKind(
            module=f"{ADAPTERS}.vlmevalkit",
            forms={"vlmevalkit:NAME": "a model of VLMEvalKit's list, where that package is installed"},
            package="vlmeval",
            has_text=checks.no_joint_space,
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
            has_text=checks.no_joint_space,
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
