"""From a reference such as `wds:DIR` to a Dataset, and from a data root to references."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.kinds import SCHEMES, scheme_forms
from mlcd_eval.data.scheme import DataFacts, DataScheme, Options
from mlcd_eval.errors import ConfigError, nearest


@dataclass(frozen=True)
class Reference:
    """A reference taken apart: `SCHEME:ADDRESS?NAME=VALUE&NAME=VALUE`."""

    scheme: DataScheme
    address: str
    options: Options


def parse_reference(ref: str) -> Reference:
    """Take a reference apart and check it; nothing is imported or opened.

    Raises ConfigError for an unknown scheme, a missing address, and options that the scheme does not have.
    """
    name, _, address = ref.partition(":")
    if name not in SCHEMES:
        problem = f"the unknown scheme {name!r}{nearest(name, SCHEMES)}" if address else "no scheme"
        raise ConfigError(f"dataset {ref!r} has {problem}: expected one of {scheme_forms()}")
    scheme = SCHEMES[name]
    if not address:
        raise ConfigError(f"dataset {ref!r} does not say where the data is: expected {scheme.form}")
    if not scheme.options:
        return Reference(scheme, address, {})
    address, _, query = address.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    _check_options(ref, scheme, options)
    return Reference(scheme, address, options)


def _check_options(ref: str, scheme: DataScheme, options: Options) -> None:
    known = {option.name: option for option in scheme.options}
    for name, value in options.items():
        if name not in known:
            raise ConfigError(
                f"dataset {ref} has the option {name!r}{nearest(name, known)}: expected NAME=VALUE with NAME one of "
                f"{', '.join(known)}"
            )
        if not re.fullmatch(known[name].pattern, value):
            words = re.fullmatch(r"\w+(\|\w+)*", known[name].pattern)
            expected = known[name].pattern.replace("|", " or ") if words else known[name].help
            raise ConfigError(f"dataset {ref} has {name}={value}: expected {expected}")
    for option in scheme.options:
        if option.required and option.name not in options:
            raise ConfigError(f"dataset {ref} lacks the option {option.name}, {option.help}: expected {scheme.form}")


def open_dataset(ref: str, *, cache: Path | None = None, offline: bool = False, name: str | None = None) -> Dataset:
    """Open a reference, reading metadata only; data/kinds.py lists the schemes.

    cache: folder where scans are kept, None to keep none. name: as in records, by default `default_name`. Raises
    ConfigError for a reference that is not well formed or whose package is missing, DataError for the data behind it.
    """
    reference = parse_reference(ref)
    _check_package(ref, reference.scheme)
    return reference.scheme.code.open(
        reference.address, reference.options, name=name or default_name(ref), cache=cache, offline=offline
    )


def _check_package(ref: str, scheme: DataScheme) -> None:
    if scheme.package is None:
        return
    try:
        importlib.import_module(scheme.package)
    except ImportError as error:
        install = f"'mlcd-eval[{scheme.extra}]'" if scheme.extra else scheme.package
        raise ConfigError(
            f"dataset {ref} needs the package {scheme.package}, `pip install {install}`: {error}"
        ) from error


def default_name(ref: str) -> str:
    """The data set's name in records, made from its reference."""
    reference = parse_reference(ref)
    return reference.scheme.code.default_name(reference.address)


def is_on_network(ref: str) -> bool:
    """Whether the files are on the network."""
    reference = parse_reference(ref)
    return reference.scheme.code.is_on_network(reference.address)


def is_slow_to_open(ref: str) -> bool:
    """Whether opening may touch the network or take long, so that a plan leaves it to the run."""
    return parse_reference(ref).scheme.is_slow or is_on_network(ref)


def is_copy_of(ref: str, facts: DataFacts) -> bool:
    """Whether the reference alone shows that it is this known data set, so that its expected sizes hold."""
    reference = parse_reference(ref)
    return reference.scheme.code.is_copy_of(reference.address, facts)


def with_option(ref: str, name: str, value: str) -> str:
    """The reference with one more option; one that sets this option already stays as it is."""
    options = parse_reference(ref).options
    return ref if name in options else f"{ref}{'&' if options else '?'}{urlencode({name: value})}"


def with_root(ref: str, root: Path) -> str:
    """The reference with the data root in the option that takes one, where the scheme has such an option."""
    option = parse_reference(ref).scheme.root_option
    return with_option(ref, option, str(root)) if option else ref


def split_reference(ref: str, split: str) -> str | None:
    """The reference of one split as a data set of its own, None where the scheme's splits are no tasks of their own."""
    return f"{ref}/{split}" if parse_reference(ref).scheme.splits_are_tasks else None


def find_dataset(root: Path, facts: DataFacts, split: str | None = None) -> str | None:
    """The reference of a known data set below a data root, None where it is not there.

    split: the one that will be scored, if known; some schemes keep each split in a file of its own.
    """
    for scheme in map(SCHEMES.__getitem__, SCHEMES):
        if facts.kind is None or facts.kind in scheme.kinds:
            address = scheme.code.find(root, facts, split)
            if address is not None:
                return f"{scheme.name}:{address}"
    return None


def discover(root: Path) -> list[tuple[str, str]]:
    """(name, reference) of all data below a data root that a scheme recognises, sorted by name."""
    schemes = map(SCHEMES.__getitem__, SCHEMES)
    refs = [f"{scheme.name}:{address}" for scheme in schemes for address in scheme.code.discover(root)]
    return sorted((default_name(ref), ref) for ref in refs)
