"""What exists of one kind of thing, by name: this package's own, and what other packages add by entry points."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from mlcd_eval.errors import ConfigError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things. Listing names imports nothing; a thing is imported when it is asked for.

    what: a noun for messages, such as `protocol`. group: the entry-point group in which other packages add things.
    own: this package's, each as itself or as `MODULE:NAME`.
    """

    def __init__(self, what: str, group: str, own: Mapping[str, T | str]) -> None:
        self.what = what
        self.group = group
        self.own = own

    @cached_property
    def added(self) -> dict[str, EntryPoint]:
        """The entry points of other packages by name. Raises ConfigError for a name that is already taken."""
        points: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            if point.name in self.own or point.name in points:
                holder = _package(points[point.name]) if point.name in points else "mlcd-eval"
                if holder == _package(point):
                    continue  # one package seen twice on the path
                raise ConfigError(
                    f"package {_package(point)} adds the {self.what} {point.name!r}, which {holder} has already: "
                    "expected another name"
                )
            points[point.name] = point
        return points

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.added

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.added

    def __getitem__(self, name: str) -> T:
        """Raises ConfigError for an unknown name, with the nearest one."""
        if name in self.own:
            thing = self.own[name]
            return cast("T", pkgutil.resolve_name(thing)) if isinstance(thing, str) else thing
        if name in self.added:
            return cast("T", self.added[name].load())
        raise ConfigError(f"unknown {self.what} {name!r}, expected one of {', '.join(self)}{nearest(name, self)}")

    def package(self, name: str) -> str | None:
        """The package that adds the thing, None for this one."""
        return _package(self.added[name]) if name in self.added else None


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value.partition(".")[0]
