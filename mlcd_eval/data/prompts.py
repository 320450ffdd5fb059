"""Class names and prompt templates for zero-shot classification: a dataset's, clip-benchmark's, or a task's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mlcd_eval.data.prompt_lists import (
    IMAGENET7,
    MTEB_CLASS_NAMES,
    MTEB_TEMPLATE,
    MTEB_TEMPLATES,
    clip_benchmark_lists,
    wordnet_class_names,
)
from mlcd_eval.data.storage.location import LocalFolder, Location
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError, nearest

Ref = str | Sequence[str] | None
"""`folder` (the dataset's own), `clip-benchmark:KEY`, the strings themselves, or None: the dataset's own if it has any,
else clip-benchmark's by the dataset's name. Further words, where "its own" are those that None means:

- `clip`: clip-benchmark's by the dataset's name, else ImageNet's 80 templates and its own class names;
- `mteb`: those of mteb's task on the dataset, else one template and its own class names;
- of templates `imagenet7`, `none` (the bare class name) and `first` (the first of its own);
- of class names `wordnet` (the first lemma of each class of ImageNet, elsewhere its own) and `words` (its own up to the
  first comma, with spaces for underscores and before capitals).
"""

Sourced = tuple[tuple[str, ...], str]
"""A list, and where it comes from in words."""


@dataclass(frozen=True)
class Prompts:
    """A template holds `{c}` where the class name goes; source says where both lists come from, for the record.
    classes: those that the names are of, in rising order; None for all of the data set. by_language: of several
    languages those of each, of which the others are the union."""

    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    source: str
    classes: tuple[int, ...] | None = None
    by_language: Mapping[str, Prompts] = field(default_factory=dict)


class _List(NamedTuple):
    """A kind of list. what: its name in messages; flag: of the command line; dataset_file: a data set's own;
    packaged_file: clip-benchmark's, by data set; named: lists with a name of their own; of_source: name -> what another
    package uses for a data set, None for the data set's own; derived: name -> what is made of the data set's own."""

    what: str
    flag: str
    dataset_file: str
    packaged_file: str
    named: Mapping[str, tuple[str, ...]]
    of_source: Mapping[str, Callable[[str], Sourced | None]]
    derived: Mapping[str, Callable[[tuple[str, ...]], tuple[str, ...]]]

    @property
    def words(self) -> tuple[str, ...]:
        """The references that are a word, without `folder`."""
        return (*self.named, *self.of_source, *self.derived)


def _clip_class_names(dataset: str) -> Sourced | None:
    key = _known_key(_CLASS_NAMES, dataset)
    return None if key is None else (_packaged_list(_CLASS_NAMES, key), f"clip-benchmark:{key}")


def _clip_templates(dataset: str) -> Sourced:
    key = _known_key(_TEMPLATES, dataset) or "imagenet1k"
    return _packaged_list(_TEMPLATES, key), f"clip-benchmark:{key}"


def _mteb_class_names(dataset: str) -> Sourced | None:
    key = _key_among(MTEB_CLASS_NAMES, dataset)
    return None if key is None else (MTEB_CLASS_NAMES[key], f"mteb:{key}")


def _mteb_templates(dataset: str) -> Sourced:
    key = _key_among(MTEB_TEMPLATES, dataset)
    return ((MTEB_TEMPLATE,), "mteb") if key is None else ((MTEB_TEMPLATES[key],), f"mteb:{key}")


def _wordnet_class_names(dataset: str) -> Sourced | None:
    return (wordnet_class_names(), "wordnet") if _key_among(("imagenet1k",), dataset) else None


def _as_words(names: tuple[str, ...]) -> tuple[str, ...]:
    """`sugar_cone, cone` and `SugarCone` as words; a name of which nothing is left stays as it is."""
    first = (re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.split(",")[0]).replace("_", " ").strip() for name in names)
    return tuple(words or name for words, name in zip(first, names, strict=True))


_CLASS_NAMES = _List(
    "class names",
    "--classnames",
    "classnames.txt",
    "en_classnames.json",
    named={},
    of_source={"clip": _clip_class_names, "mteb": _mteb_class_names, "wordnet": _wordnet_class_names},
    derived={"words": _as_words},
)
_TEMPLATES = _List(
    "templates",
    "--templates",
    "zeroshot_classification_templates.txt",
    "en_zeroshot_classification_templates.json",
    named={"imagenet7": IMAGENET7, "none": ("{c}",)},
    of_source={"clip": _clip_templates, "mteb": _mteb_templates},
    derived={"first": lambda templates: templates[:1]},
)


def read_class_names(folder: Location) -> tuple[str, ...] | None:
    """The lines of the folder's classnames.txt, None without the file; raises DataError for a line without a name."""
    names = _read_lines(folder, _CLASS_NAMES.dataset_file)
    if names and "" in names:
        raise DataError(f"{folder}/classnames.txt has no name in line {names.index('') + 1}: expected one per line")
    return names


def read_templates(folder: Location) -> tuple[str, ...] | None:
    """The lines of the folder's zeroshot_classification_templates.txt, None without the file; raises DataError for a
    template without `{c}`."""
    lines = _read_lines(folder, _TEMPLATES.dataset_file)
    for template in lines or ():
        if "{c}" not in template:
            raise DataError(
                f"{folder}/zeroshot_classification_templates.txt has the template {template!r}, "
                "expected {c} in it, where the class name goes"
            )
    return lines


def _read_lines(folder: Location, name: str) -> tuple[str, ...] | None:
    text = folder.read_text(name)
    return None if text is None else tuple(line.strip() for line in text.rstrip().splitlines())


def class_names_of_flag(text: str) -> str | tuple[str, ...]:
    """What `--classnames` means: the lines of a file, or a name of a list as it is.

    Raises ConfigError where it is neither, DataError for a line without a name.
    """
    return _of_flag(_CLASS_NAMES, "--classnames", text)


def templates_of_flag(text: str) -> str | tuple[str, ...]:
    """What `--templates` means: a template itself, the lines of a file, or a name of a list as it is.

    Raises ConfigError where it is none of these, and for a line without `{c}`.
    """
    return (text,) if "{c}" in text else _of_flag(_TEMPLATES, "--templates", text)


def _of_flag(kind: _List, flag: str, text: str) -> str | tuple[str, ...]:
    if text in ("folder", *kind.words) or text.startswith("clip-benchmark:"):
        return text
    path = Path(text).expanduser()
    if not path.is_file():
        words = ["clip-benchmark:NAME", *kind.words]
        template = "a template with {c}, " if kind is _TEMPLATES else ""
        raise ConfigError(f"{flag}: got {text!r}, expected a file, {template}{', '.join(words)}{nearest(text, words)}")
    lines = _read_lines(LocalFolder(path.parent), path.name) or ()
    for number, line in enumerate(lines, 1):
        if not line or (kind is _TEMPLATES and "{c}" not in line):
            expected = "{c} in it, where the class name goes" if kind is _TEMPLATES else "a class name"
            raise DataError(f"{flag}: line {number} of {path} is {line!r}, expected {expected}")
    if not lines:
        raise DataError(f"{flag}: {path} is empty, expected one of the {kind.what} per line")
    return lines


def class_names(key: str) -> tuple[str, ...]:
    """clip-benchmark's class names for a dataset; raises ConfigError for an unknown key."""
    return _packaged_list(_CLASS_NAMES, key)


def templates(key: str) -> tuple[str, ...]:
    """clip-benchmark's templates for a dataset; raises ConfigError for an unknown key."""
    return _packaged_list(_TEMPLATES, key)


def resolve(
    dataset_class_names: Sequence[str] | None,
    dataset_templates: Sequence[str] | None,
    class_names_ref: Ref = None,
    templates_ref: Ref = None,
    dataset: str = "this dataset",
    wanted_class_names: Ref = None,
    wanted_templates: Ref = None,
) -> Prompts:
    """The prompts that a task means, given the lists that the dataset of that name has itself.

    class_names_ref, templates_ref: what the dataset's own lists are by default. wanted_...: what a setting asks for
    instead. Raises ConfigError for an unknown reference or a template without `{c}`, IncompatibleError where no list is
    known.
    """
    names, names_source = _wanted(_CLASS_NAMES, (wanted_class_names, class_names_ref), dataset_class_names, dataset)
    chosen, templates_source = _wanted(_TEMPLATES, (wanted_templates, templates_ref), dataset_templates, dataset)
    for template in chosen:
        if "{c}" not in template:
            raise ConfigError(
                f"template for {dataset}: got {template!r}, expected {{c}} in it, where the class name goes"
            )
    return Prompts(names, chosen, f"class names: {names_source}; templates: {templates_source}")


def _wanted(kind: _List, refs: Sequence[Ref], from_dataset: Sequence[str] | None, dataset: str) -> Sourced:
    """The list that the first of the references means that is not None; a later one says what is the dataset's own."""
    given = [ref for ref in refs if ref is not None]
    ref, others = (given[0], given[1:]) if given else (None, [])
    if isinstance(ref, str) and ref in kind.derived:
        lines, source = _wanted(kind, others, from_dataset, dataset)
        return kind.derived[ref](lines), f"{ref} of {source}"
    if isinstance(ref, str) and ref in kind.of_source:
        return kind.of_source[ref](dataset) or _wanted(kind, others, from_dataset, dataset)
    return _choose(kind, ref, from_dataset, dataset)


def _choose(kind: _List, ref: Ref, from_dataset: Sequence[str] | None, dataset: str) -> Sourced:
    """The list that `ref` means, which is none of those of a source."""
    if ref is not None and not isinstance(ref, str):
        return tuple(ref), "task"
    if ref in (None, "folder") and from_dataset:
        return tuple(from_dataset), "folder"
    if ref is None and (key := _known_key(kind, dataset)) is not None:
        return _packaged_list(kind, key), f"clip-benchmark:{key}"
    if ref in (None, "folder"):
        raise IncompatibleError(
            f"zero-shot on {dataset} needs {kind.what}: got none, expected {kind.dataset_file} in its folder "
            f"(wds:, imagefolder:), a list of clip-benchmark's under its name, the flag {kind.flag}, or "
            f"`{kind.what.replace(' ', '_')}` under `dataset:` in a task file"
        )
    if ref in kind.named:
        return kind.named[ref], ref
    if ref.startswith("clip-benchmark:"):
        return _packaged_list(kind, ref.removeprefix("clip-benchmark:")), ref
    valid = ["folder", "clip-benchmark:KEY", *kind.words]
    raise ConfigError(
        f"{kind.what} for {dataset}: got {ref!r}, expected {', '.join(valid)} or a list of strings{nearest(ref, valid)}"
    )


def _known_key(kind: _List, dataset: str) -> str | None:
    """clip-benchmark's key for a hub or folder name, whatever its case and hyphens: `clip-benchmark/wds_vtab-pets` ->
    `pets`, `FGVC-Aircraft` -> `fgvc_aircraft`; None without such a list."""
    return _key_among(clip_benchmark_lists(kind.packaged_file), dataset)


def _key_among(keys: Iterable[str], dataset: str) -> str | None:
    name = dataset.rsplit("/", 1)[-1].lower().removeprefix("wds_").removeprefix("vtab-")
    return {_letters(key): key for key in keys}.get(_letters(name))


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _packaged_list(kind: _List, key: str) -> tuple[str, ...]:
    lists = clip_benchmark_lists(kind.packaged_file)
    key = key if key in lists else _known_key(kind, key) or key
    if key not in lists:
        raise ConfigError(
            f"clip-benchmark has no {kind.what} for {key!r}, expected one of {', '.join(sorted(lists))}"
            f"{nearest(key, lists)}"
        )
    return tuple(lists[key])
