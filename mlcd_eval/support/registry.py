"""Things of one kind by name: those built into this package, and those that other packages add by entry points."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from mlcd_eval.errors import ConfigError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping of names to things. Listing the names imports nothing; a thing is imported when it is looked up.

    what: a noun for messages, such as `protocol`. group: the entry-point group in which other packages add things.
    built_in: this package's things, each as itself or as `MODULE:NAME`.
    """

    def __init__(self, what: str, group: str, built_in: Mapping[str, T | str]) -> None:
        self.what = what
        self.group = group
        self.built_in = built_in

    @cached_property
    def added(self) -> dict[str, EntryPoint]:
        """Return the entry points of other packages by name. Raises ConfigError for a name that is already taken."""
        points: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            if point.name in self.built_in or point.name in points:
                holder = _package(points[point.name]) if point.name in points else "mlcd-eval"
                if holder == _package(point):
                    continue  # one package seen twice on the path
                raise ConfigError(
                    f"package {_package(point)} adds the {self.what} {point.name!r}, which {holder} already has: "
                    "expected another name"
                )
            points[point.name] = point
        return points

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from self.added

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self.added

    def __getitem__(self, name: str) -> T:
        """Return the thing of this name. Raises ConfigError for an unknown name, with the nearest valid one."""
        if name in self.built_in:
            thing = self.built_in[name]
            return cast("T", pkgutil.resolve_name(thing)) if isinstance(thing, str) else thing
        if name in self.added:
            return cast("T", self.added[name].load())
        raise ConfigError(f"unknown {self.what} {name!r}, expected one of {', '.join(self)}{nearest(name, self)}")

    def package(self, name: str) -> str | None:
        """Return the name of the package that adds the thing, None for this package."""
        return _package(self.added[name]) if name in self.added else None


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(".")[0]
