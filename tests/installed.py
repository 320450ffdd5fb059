"""A package that a test installs: one module, and an entry point that adds a row to a registry."""

import sys
from contextlib import contextmanager


def write_package(folder, name, code, entry_points):
    """The files of an installed package. entry_points: group -> its lines."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{lines}\n" for group, lines in entry_points.items()))


@contextmanager
def installed(folder, monkeypatch, registry, entry_point, code):
    """Such as `words = wordy:ROW`, as long as the context lasts."""
    name = entry_point.partition(" = ")[2].partition(":")[0]
    write_package(folder, name, code, {registry.group: entry_point})
    monkeypatch.syspath_prepend(str(folder))
    vars(registry).pop("added", None)
    try:
        yield
    finally:
        vars(registry).pop("added", None)
        sys.modules.pop(name, None)
