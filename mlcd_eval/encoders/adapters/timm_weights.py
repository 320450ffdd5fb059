"""Weights of a file for a timm model, by the conversion that timm applies to published weights of its architecture."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import timm.models._builder

from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.state_dicts import StateDict, check_equal_shapes, read_state_dict, substituted

Filter = Callable[..., dict[str, Any]]


def create_with_file(spec: Spec, name: str, file: Path, **arguments: Any) -> tuple[Any, str]:
    """The model without its classifier and with a file's weights, and where they were, for the record.

    timm hands an architecture's checkpoint filter (other names, position embeddings of another size, tensors that only
    training needs) to the function that loads published weights, and to nobody else: so ours takes that place once.
    Raises CheckpointError where a tensor other than the classifier's is missing, left over or of another shape.
    """
    if file.suffix in (".npz", ".npy"):  # JAX's arrays, which each model of timm reads itself
        model = timm.create_model(name, pretrained=False, **arguments)
        model.load_pretrained(str(file))
        model.reset_classifier(0)
        return model, file.name
    state = read_state_dict(file, spec.options.get("key"))
    notes = []

    def load(model: Any, filter_fn: Filter | None = None, **_: Any) -> None:
        notes.append(_load(model, state, filter_fn, f"--model {spec.text!r}: {file}"))

    with substituted(timm.models._builder, "load_pretrained", load):
        model = timm.create_model(name, pretrained=True, **arguments)
    return model, notes[0]


def _load(model: Any, state: StateDict, convert: Filter | None, what: str) -> str:
    names = set(model.state_dict())
    fitted = state.fitted(names)
    tensors = _converted(dict(fitted.tensors), model, convert)
    before = {name: value.shape for name, value in fitted.tensors.items()}
    resized = [name for name, value in tensors.items() if before.get(name, value.shape) != value.shape]
    model.reset_classifier(0)  # nothing here reads it: the file's may be for any number of classes, or missing
    expected = model.state_dict()
    tensors = {name: value for name, value in tensors.items() if name in expected or name not in names}
    check_equal_shapes(tensors, expected, what)
    model.load_state_dict(tensors)
    return fitted.source + (f"; resized: {', '.join(resized)}" if resized else "")


def _converted(tensors: dict[str, Any], model: Any, convert: Filter | None) -> dict[str, Any]:
    if convert is None:
        return tensors
    takes_model = len(inspect.signature(convert).parameters) > 1
    return convert(tensors, model) if takes_model else convert(tensors)
