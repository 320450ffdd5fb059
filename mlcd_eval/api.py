"""`evaluate`, the Python equivalent of `mlcd-eval run`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.registry import check_name
from mlcd_eval.encoders.spec import object_spec
from mlcd_eval.errors import ConfigError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.records import Result
from mlcd_eval.request import RunRequest
from mlcd_eval.running.run import run
from mlcd_eval.spec import validated
from mlcd_eval.support.progress import make_progress

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import nn

Name = str | Path


def evaluate(
    model: Name | Encoder | nn.Module | Sequence[Name | Encoder | nn.Module] | Mapping[str, Name | Encoder | nn.Module],
    tasks: Name | Sequence[Name],
    *,
    name: str | None = None,
    preprocess: Callable[[Image.Image], torch.Tensor] | Any | None = None,
    tokenizer: Callable[..., Any] | None = None,
    encode_text: Callable[..., torch.Tensor] | None = None,
    datasets: Name | Sequence[Name] = (),
    data_root: Name | None = None,
    output: Name = Path("results/runs"),
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    deterministic: bool = False,
    batch_size: int | Literal["auto"] | None = None,
    workers: int | Literal["auto"] | None = None,
    decoder: Literal["pil", "torch", "torchcodec"] = "pil",
    cache: Name | None = None,
    limit: int | None = None,
    seed: int = 0,
    log_samples: bool = False,
    resume: bool = True,
    offline: bool = False,
    trust_remote_code: bool = False,
    allow_bad_images: int = 0,
    skip_incompatible: bool = False,
    settings: Mapping[str, Any] | None = None,
    submit: bool = False,
    progress: bool = False,
) -> list[Result]:
    """Run tasks on one or more models and return their records.

    A task that fails gives a Result of status "error", and the other tasks still run.

    Args:
        model: a spec such as "hf:ORG/NAME" or the path of a checkpoint; an `Encoder`; an `nn.Module`; a list of these,
            or a dict {name: model}. Objects are left as they are: a module is used through a frozen copy that shares
            its weights. Models of open_clip and transformers are read by the adapters of `open_clip:` and `hf:`. Any
            other module maps pixels (B, 3, H, W) to features (B, D), by its method `encode_image` or by `forward`, or
            to {layer: features} with the layers `penultimate`, `projected`, `patches` (B, h, w, D).
        tasks: groups, suites, names, globs or YAML files, one or several, or one text with commas.
        name: the model's name in records, for one model; by default it is made from the spec or the class.
        preprocess: RGB PIL image -> float32 (3, H, W), for modules; for models of transformers also their image
            processor.
        tokenizer: texts -> tokens, for modules with a text tower; it is called with a list of texts.
        encode_text: tokens, or texts without `tokenizer`, -> (B, D) in the space of the images; by default the module's
            own `encode_text`.
        datasets: references such as "imagefolder:photos"; `tasks` are then names of protocols.
        data_root: a folder of data sets, searched before the hub.
        output: records go to output/NAME/TASK.json.
        device: "auto" is CUDA where there is one; a module that is already on another device than the CPU stays there.
        precision: autocast precision of the encoder.
        deterministic: sums in a fixed order on a GPU (docs/gpu.md).
        batch_size: None or "auto" for the device's default, halved while memory runs out.
        workers: processes that decode images; None or "auto" for the machine's default.
        decoder: "pil" is each model's own preprocessing, "torch" resizes faster and not quite the same, "torchcodec"
            also decodes JPEG files faster (on a GPU: there).
        cache: the feature store, by default $MLCD_EVAL_CACHE or the user's cache folder.
        limit: at most this many images per split, for trying things.
        seed: of few-shot draws, validation splits and intervals.
        log_samples: write texts and masks of each sample too; outcomes are always kept.
        resume: keep the records of the same request that exist.
        offline: never use the network.
        trust_remote_code: run code that a model repository ships.
        allow_bad_images: tolerate up to this many undecodable images per split.
        skip_incompatible: leave out pairs of a model and a task that do not go together.
        settings: values that override those of every task whose protocol has the key.
        submit: write answers for a benchmark's own server instead of scoring them.
        progress: show on stderr how far it is, as the command line does.

    Raises:
        UserError: the request is wrong; before any image is encoded.
    """
    texts, objects = _models(model, name)
    words = tasks.split(",") if isinstance(tasks, str) else _listed(tasks)
    fields = {
        "models": texts,
        "tasks": [str(word).strip() for word in words],
        "datasets": [str(ref) for ref in _listed(datasets)],
        "data_root": data_root,
        "output": output,
        "device": device,
        "precision": precision,
        "deterministic": deterministic,
        "batch_size": None if batch_size == "auto" else batch_size,
        "workers": None if workers == "auto" else workers,
        "decoder": decoder,
        **({} if cache is None else {"cache": cache}),
        "limit": limit,
        "seed": seed,
        "log_samples": log_samples,
        "resume": resume,
        "offline": offline,
        "trust_remote_code": trust_remote_code,
        "allow_bad_images": allow_bad_images,
        "skip_incompatible": skip_incompatible,
        "settings": settings or {},
        "submit": submit,
    }
    request = validated(RunRequest, fields, "evaluate")
    parts = {"preprocess": preprocess, "tokenizer": tokenizer, "encode_text": encode_text}
    with _encoders(objects, {part: value for part, value in parts.items() if value is not None}) as encoders:
        return list(run(make_plan(request, encoders), make_progress("normal" if progress else "quiet")))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _models(model: Any, name: str | None) -> tuple[list[str], dict[str, Any]]:
    """Return the models as a request writes them, and those in memory by name. Raises ConfigError for two models of one
    name, and for a name without a model of its own."""
    pairs = list(model.items()) if isinstance(model, Mapping) else [(name, item) for item in _listed(model)]
    if name is not None and (isinstance(model, Mapping) or len(pairs) != 1):
        raise ConfigError(f"evaluate: got name={name!r} with {len(pairs)} models, expected {{name: model}} for several")
    texts: list[str] = []
    objects: dict[str, Any] = {}
    for given, item in pairs:
        if isinstance(item, str | Path):
            texts.append(str(item) if given is None else f"{given}={item}")
            continue
        key = given or (isinstance(item, Encoder) and item.info.name) or type(item).__name__.strip("_")
        if objects.setdefault(key, item) is not item:
            raise ConfigError(f"evaluate: two models are called {key!r}, expected other names, as in {{name: model}}")
        check_name(key)
        texts.append(f"{key}={object_spec(item)}")
    return texts, objects


@contextlib.contextmanager
def _encoders(objects: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[dict[str, Encoder]]:
    """Yield the encoders of the models in memory, by name. Meanwhile the modules are in evaluation mode, since
    functions such as encode_text may call them.

    parts: preprocess, tokenizer and encode_text, as far as they are given.
    """
    if parts and all(isinstance(item, Encoder) for item in objects.values()):
        raise ConfigError(f"evaluate: got {', '.join(parts)}= without a module, expected an nn.Module")
    if not objects:
        yield {}
        return
    from torch import nn

    from mlcd_eval.encoders.objects import as_encoder

    modules = [part for item in objects.values() if isinstance(item, nn.Module) for part in item.modules()]
    training = [(module, module.training) for module in modules]
    try:
        for module in modules:
            module.training = False
        yield {name: as_encoder(item, **({} if isinstance(item, Encoder) else parts)) for name, item in objects.items()}
    finally:
        for module, mode in training:
            module.training = mode
