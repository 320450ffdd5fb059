"""pydantic's errors as sentences that a user can act on."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlcd_eval.errors import ConfigError, nearest

M = TypeVar("M", bound=BaseModel)

_PLAIN = {
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "some text",
    "too_short": "at least {min_length}",
}
"""By pydantic's type of error, the expectation in words of YAML, where pydantic's are Python's."""


def validated(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """The values as a model. Raises ConfigError with a sentence for each problem: where, which key, got, expected."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems: dict[str, list[ErrorDetails]] = {}  # by key: a union reports a problem for each of its members
        for item in error.errors(include_url=False):
            problems.setdefault(_key(item, values), []).append(item)
        sentences = [
            _sentence(key, items, model)
            for key, items in problems.items()
            if not any(other.startswith(f"{key}.") for other in problems)  # a list with a bad item is one problem
        ]
        raise ConfigError("\n".join(f"{where}: {sentence}" for sentence in sentences)) from error


def _key(item: ErrorDetails, values: Any) -> str:
    """The path to the key in the user's values: pydantic's, without the names of a union's members."""
    path = []
    for part in item["loc"]:
        is_index = isinstance(values, Sequence) and isinstance(part, int)
        if is_index or (isinstance(values, Mapping) and part in values):
            path.append(str(part))
            values = values[part]
    if item["type"] == "missing":
        path.append(str(item["loc"][-1]))
    return ".".join(path)


def _sentence(key: str, items: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    item = items[0]
    if item["type"].startswith("union_tag"):
        return _tag_sentence(key, item["ctx"])
    if item["type"] == "extra_forbidden":
        valid = _valid_keys(model, item["loc"])
        return f"unknown key {key!r}, expected one of {', '.join(valid)}{nearest(key.rpartition('.')[2], valid)}"
    if item["type"] == "missing":
        return f"the key {key!r} is missing"
    expected = " or ".join(dict.fromkeys(_expectation(item) for item in items))
    if not key:  # a rule about several keys, which names them itself
        return expected
    got = repr(item["input"])
    got = got if len(got) <= 60 else f"{got[:57]}..."
    hint = nearest(str(item["input"]), _choices(item)) if item["type"] == "literal_error" else ""
    return f"{key!r} is {got}, expected {expected}{hint}"


def _tag_sentence(key: str, context: Mapping[str, Any]) -> str:
    """What is wrong with the key that says which member of a union a mapping is, such as `name`."""
    tag_key = ".".join([key, context["discriminator"].strip("'")])
    if "tag" not in context:
        return f"the key {tag_key!r} is missing"
    tags = context["expected_tags"].replace("'", "").split(", ")
    return f"{tag_key!r} is {context['tag']!r}, expected one of {', '.join(tags)}{nearest(context['tag'], tags)}"


def _expectation(item: ErrorDetails) -> str:
    """The end of a sentence after the word `expected`."""
    if item["type"] in _PLAIN:
        return _PLAIN[item["type"]].format(**item.get("ctx", {}))
    message = item["msg"].removeprefix("Value error, ").removeprefix("expected ")
    return message.removeprefix("Input should be ").removeprefix("Input should ")


def _choices(item: ErrorDetails) -> list[str]:
    return item["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")


def _valid_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys that may be used where the last part of a pydantic error's location is."""
    members = [model]
    for part in location[:-1]:
        if part in model.model_fields:
            members = list(_models_in(model.model_fields[str(part)].annotation))
            model = members[0]
        else:  # an index, or the tag of a member of a union
            model = next((member for member in members if _is_tagged(member, part)), model)
    return list(model.model_fields)


def _is_tagged(model: type[BaseModel], tag: object) -> bool:
    return any(typing.get_args(field.annotation) == (tag,) for field in model.model_fields.values())


def _models_in(annotation: Any) -> typing.Iterator[type[BaseModel]]:
    """The models in such as `Model | None` or `tuple[Model, ...]`."""
    arguments = typing.get_args(annotation)
    if not arguments and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in arguments:
        yield from _models_in(argument)
