"""Who may import whom within mlcd_train: from lower layers and within a layer, never in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mlcd_train

ROOT = Path(mlcd_train.__file__).parent
LAYERS = [
    {
        "losses",
        "distributed",
        "sections",
        "runlog",
        "export",
        "chance",
        "products",
        "host",
        "sharding",
        "state_files",
        "search",
        "clock",
        "profiling",
        "non_finite",
    },
    {
        "clustering",
        "assignment",
        "augment",
        "data",
        "centres",
        "class_rows",
        "row_files",
        "label_file",
        "optimizer",
        "start",
        "drops",
        "labels",
    },
    {"objectives", "own_labels", "ocr_words", "region_file"},
    {"config", "state", "saving", "between_steps", "loop"},
    {"embed", "fit", "lit", "stage_state", "origin", "checks"},
    {"stages", "dry_step", "plan"},
    {"cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports_of(path, root=ROOT):
    """The modules of the package that a file imports, wherever in the file, by their dotted names below the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == root.name and rest and (module := module_of(rest, root)):
                yield module


def module_of(name, root):
    """The module that a dotted name is, or is defined in."""
    while name:
        place = root / name.replace(".", "/")
        if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
            return name
        name = name.rpartition(".")[0]
    return None


def graph_of(root=ROOT):
    """Module -> the modules that it imports. A package's __init__ goes by the package's name."""
    graph = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            graph[name] = set(imports_of(path, root))
    return graph


def test_every_module_has_a_layer():
    assert {name.partition(".")[0] for name in graph_of()} == set(LEVEL)


@pytest.mark.parametrize("module", graph_of())
def test_dependencies_point_down(module):
    layer = module.partition(".")[0]
    upward = {other for other in graph_of()[module] if LEVEL[other.partition(".")[0]] > LEVEL[layer]}
    assert not upward, f"{module} imports {upward}"


def test_there_is_no_circle():
    TopologicalSorter(graph_of()).prepare()


def test_a_circle_within_a_layer_is_seen(tmp_path):
    root = tmp_path / "mlcd_train"
    (root / "objectives").mkdir(parents=True)
    (root / "objectives" / "__init__.py").write_text("from mlcd_train.objectives.clip import Clip\n")
    (root / "objectives" / "clip.py").write_text("import torch\n\n\ndef late():\n    from mlcd_train import fit\n")
    (root / "fit.py").write_text("from mlcd_train.lit import lit\n")
    (root / "lit.py").write_text("")
    assert graph_of(root) == {
        "fit": {"lit"},
        "lit": set(),
        "objectives": {"objectives.clip"},
        "objectives.clip": {"fit"},
    }
    TopologicalSorter(graph_of(root)).prepare()
    (root / "lit.py").write_text("import mlcd_train.objectives.clip\n")
    with pytest.raises(CycleError):
        TopologicalSorter(graph_of(root)).prepare()
