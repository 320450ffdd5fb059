"""Where a spec's target is: on this machine, on a hub, or in a library's list. One function per way of writing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """At most one of: a local file or folder, a repository on a hub; neither for a name that only a library knows."""

    path: Path | None = None
    repository: str | None = None


def listed(target: str) -> Place:
    """Names of a library's list, and functions of Python modules."""
    return Place()


def local(target: str) -> Place:
    """Always a local path."""
    return Place(path=Path(target))


def prefixed(target: str) -> Place:
    """open_clip's and timm's way: `local-dir:PATH`, `hf-hub:ORG/NAME`, else a name of the library's list."""
    prefix, _, rest = target.partition(":")
    if prefix == "local-dir":
        return Place(path=Path(rest))
    return Place(repository=rest) if prefix in ("hf-hub", "hf_hub") else Place()


def folder_or_repository(target: str) -> Place:
    """transformers' way: a folder if it exists or if the target can be nothing else, otherwise a repository."""
    path = Path(target).expanduser()
    if path.is_dir() or target.startswith((".", "/", "~")):
        return Place(path=path)
    return Place(repository=target)


def pretrained_name(target: str) -> str:
    """What `from_pretrained` of transformers takes for a target: a path or a repository."""
    place = folder_or_repository(target)
    return str(place.path or place.repository)


def files_below(path: Path | None) -> list[Path]:
    """Every file of a folder, at any depth; an empty list without a folder."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path is not None else []
