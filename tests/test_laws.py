"""Who may import whom (design, section 1), and what must not be imported to start quickly."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"errors"},
    {"support"},
    {"request", "metrics"},
    {"spec", "data", "encoders"},
    {"features", "protocols", "records", "extras"},
    {"planning"},
    {"running", "imports"},
    {"api", "tables"},
    {"cli", "__main__"},
]
ORDER = {name: level for level, names in enumerate(LAYERS) for name in names}
EXCEPTIONS = {("features", "protocols")}  # the shape of Features


def modules(package):
    return [path for path in (ROOT / package).rglob("*.py") if "_bundled" not in path.parts]


def imports(path):
    """(module, is it at the top of the file) of every import of ours."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("mlcd_eval", "mlcd_train")):
            yield node.module


@pytest.mark.parametrize("path", modules("mlcd_eval"), ids=lambda path: str(path.relative_to(ROOT)))
def test_dependencies_point_one_way(path):
    parts = path.relative_to(ROOT / "mlcd_eval").with_suffix("").parts
    own = parts[0]
    for module in imports(path):
        assert not module.startswith("mlcd_train"), f"{path} imports the trainer"
        other = module.split(".")[1] if "." in module else ""
        if own == "__init__" or not other or other == own:
            continue
        assert ORDER[other] <= ORDER[own], f"{path} imports {module}"
        if own == "protocols":
            assert module in ("mlcd_eval.encoders.base",) or other not in ("encoders", "features", "records")


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], {"torch", "numpy", "pandas", "pydantic"}),
        (["ls", "tasks"], {"torch", "pandas", "open_clip"}),
        (["ls", "models"], {"torch", "pandas", "open_clip"}),
        (["plan", "--model", "open_clip:ViT-B-32/openai", "--tasks", "demo"], {"torch", "pandas", "open_clip"}),
    ],
)
def test_light_commands_import_nothing_heavy(arguments, forbidden):
    code = (
        "import sys; from mlcd_eval.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print('IMPORTED', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rsplit("IMPORTED", 1)[1].split())
    assert not loaded & forbidden


def test_files_stay_short():
    long = {str(path): len(path.read_text().splitlines()) for path in modules("mlcd_eval") + modules("mlcd_train")}
    assert {path: lines for path, lines in long.items() if lines > 350} == {}
