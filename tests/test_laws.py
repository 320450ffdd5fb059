"""Which parts may import which, and what must not be imported so that commands start quickly."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from fresh_python import imported

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"errors"},
    {"support"},
    {"request", "metrics", "loggers"},
    {"spec", "data", "encoders"},
    {"features", "protocols", "records", "extras"},
    {"planning"},
    {"running", "imports"},
    {"api", "tables"},
    {"cli", "__main__"},
]
ORDER = {name: level for level, names in enumerate(LAYERS) for name in names}
FACE = ("__init__",)  # of mlcd_eval: it names what users import, and is imported for the version


def modules(package):
    return [path for path in (ROOT / package).rglob("*.py") if "_bundled" not in path.parts]


def dotted(path):
    """The parts of a module's name, such as ("mlcd_eval", "data", "base"); a package's name ends with `__init__`."""
    return path.relative_to(ROOT).with_suffix("").parts


def imports(path):
    """Yield the name, in parts, of each of our modules that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("mlcd_eval", "mlcd_train")):
            for alias in node.names:
                target = ROOT.joinpath(*node.module.split("."), alias.name)
                is_module = target.with_suffix(".py").is_file() or target.is_dir()
                parts = (*node.module.split("."), alias.name) if is_module else tuple(node.module.split("."))
                yield (*parts, "__init__") if ROOT.joinpath(*parts).is_dir() else parts


def siblings(package):
    """Return folder -> {child: the children of the folder that it imports}, for every folder of a package."""
    graph = defaultdict(lambda: defaultdict(set))
    for path in modules(package):
        name = dotted(path)
        for other in imports(path):
            depth = next(depth for depth in range(len(name) + 1) if name[: depth + 1] != other[: depth + 1])
            if depth and depth < len(name) and (name[depth : depth + 1], other[depth : depth + 1]) != (FACE, FACE):
                graph[name[:depth]][name[depth]].add(other[depth])
    return graph


@pytest.mark.parametrize("package", ["mlcd_eval", "mlcd_train"])
def test_no_two_files_or_folders_beside_each_other_import_each_other(package):
    graph = siblings(package)
    assert graph
    for folder, children in graph.items():
        if folder == ("mlcd_eval",):
            children.pop("__init__", None)
            for others in children.values():
                others.discard("__init__")
        try:
            TopologicalSorter(children).prepare()
        except CycleError as error:
            pytest.fail(f"{'/'.join(folder)}: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("path", modules("mlcd_eval"), ids=lambda path: str(path.relative_to(ROOT)))
def test_dependencies_point_one_way(path):
    folder = dotted(path)[1]
    for _, *inner in imports(path):
        other = inner[0]
        if folder == "__init__" or other in ("__init__", folder):
            continue
        assert ORDER[other] <= ORDER[folder], f"{path} imports {'.'.join(inner)}"
        if folder == "protocols":
            words = [["encoders", "base"], ["encoders", "layers"]]
            assert inner in words or other not in ("encoders", "features", "records")


def test_protocols_share_by_shared_files_or_score_by_anothers_whole_method():
    common = {"base", "dialects", "frame", "layout", "shared"}
    methods = {"classification", "clustering", "instance_retrieval"}  # such as the probe of a region's vectors
    graph = siblings("mlcd_eval")["mlcd_eval", "protocols"]
    imported = {other for name, others in graph.items() if name not in ("registry", "shared") for other in others}
    assert imported == common | methods


def test_the_harness_knows_nothing_of_the_trainer():
    assert not [path for path in modules("mlcd_eval") if any(other[0] == "mlcd_train" for other in imports(path))]


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], {"torch", "numpy", "pandas", "pydantic", "wandb", "trackio", "mlflow", "tensorboard"}),
        (["ls", "tasks"], {"torch", "pandas", "open_clip"}),
        (["ls", "models"], {"torch", "pandas", "open_clip"}),
        (["plan", "--model", "open_clip:ViT-B-32/openai", "--tasks", "demo"], {"torch", "pandas", "open_clip"}),
    ],
)
def test_light_commands_import_nothing_heavy(arguments, forbidden):
    assert not imported(f"from mlcd_eval.cli import main; main({arguments!r})") & forbidden


def test_filters_that_take_a_second_to_import_wait_until_an_image_is_altered():
    first = [(path, node) for path in modules("mlcd_eval") for node in ast.parse(path.read_text()).body]
    names = {(path.stem, node.module) for path, node in first if isinstance(node, ast.ImportFrom)}
    assert ("alter", "mlcd_eval.data.alterations.blur") in names and ("blur", "scipy") in names
    assert not [name for name, module in names if module == "mlcd_eval.data.alterations.alter"]


PARSERS = {"yaml": {"load", "load_all", "safe_load", "safe_load_all", "unsafe_load", "full_load"}, "json": {"load"}}


def parses_a_file(call):
    """Whether a call parses YAML, or JSON that it reads in the same expression."""
    function = call.func
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return False
    if (function.value.id, function.attr) == ("json", "loads"):
        names = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
        return bool(names & {"read", "read_text", "read_bytes", "readline"})
    return function.attr in PARSERS.get(function.value.id, ())


@pytest.mark.parametrize("text", ["yaml.safe_load(x)", "json.load(f)", "json.loads(p.read_text())"])
def test_a_call_that_parses_a_file_is_seen(text):
    assert parses_a_file(ast.parse(text).body[0].value)


@pytest.mark.parametrize("package", ["mlcd_eval", "mlcd_train"])
def test_files_are_parsed_in_one_place(package):
    """support/documents.py has the bounds; `features` reads what it wrote itself, with a checksum; `published` and
    `prompts` read what the package ships."""
    allowed = {"mlcd_eval/support/documents.py", "mlcd_eval/features/store.py", "mlcd_eval/features/predict.py"}
    callers = {
        str(path.relative_to(ROOT))
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and parses_a_file(node)
    }
    assert callers <= allowed


READERS_OF_LIBRARIES = {
    *("tarfile.open", "zipfile.ZipFile", "ZipFile", "openpyxl.load_workbook", "Image.open", "pq.ParquetFile"),
    *(
        "np.load",
        "read_array",
        "safe_open",
        "load_file",
        "torch.load",
        "torch.jit.load",
        "onnxruntime.InferenceSession",
    ),
    *("load_from_disk", "load_dataset", "load_dataset_builder", "from_pretrained", "create_model_and_transforms"),
    *("pandas.read_csv", "pd.read_csv", "read_parquet", "read_excel", "create_model", "get_tokenizer", "get_model"),
}
"""Functions of libraries that read a file of a user's, by their full name or by its last part."""


def reads_by_a_library(call):
    name = ast.unparse(call.func)
    return bool({name, name.rpartition(".")[2]} & READERS_OF_LIBRARIES) and name != "os.open"


def unguarded(tree):
    """Yield the calls of libraries' readers in a module that are not within `with reading(...)`, nor in a function that
    `as_checkpoint_error` wraps."""

    def visit(node, guarded):
        if isinstance(node, ast.With):
            guarded = guarded or any(ast.unparse(item.context_expr).startswith("reading(") for item in node.items)
        if isinstance(node, ast.FunctionDef):
            guarded = guarded or any(ast.unparse(name) == "as_checkpoint_error" for name in node.decorator_list)
        if isinstance(node, ast.Call) and reads_by_a_library(node) and not guarded:
            yield ast.unparse(node.func)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, guarded)

    return visit(tree, False)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Image.open(x)", ["Image.open"]),
        ("with reading('x'):\n    Image.open(x)", []),
        ("with reading('x'), pq.ParquetFile(x) as file:\n    pass", []),
        ("with ZipFile(x) as file:\n    pass", ["ZipFile"]),
        ("@as_checkpoint_error\ndef load(spec):\n    timm.create_model(x)", []),
    ],
)
def test_a_call_that_nothing_guards_is_seen(text, calls):
    assert list(unguarded(ast.parse(text))) == calls


def test_every_librarys_reader_is_called_where_its_errors_become_sentences():
    """Allowed: what a function does whose only callers are wrapped (state_dicts, the parts of adapters), what the
    package itself wrote and checks (the feature store) or installs, and the unpicklers, which turn every exception."""
    allowed = {
        "mlcd_eval/encoders/adapters/hf/load.py": "called by load()",
        "mlcd_eval/encoders/adapters/hf/texts.py": "called by load()",
        "mlcd_eval/encoders/adapters/hf/transform.py": "called by load()",
        "mlcd_eval/encoders/adapters/onnx.py": "called by load()",
        "mlcd_eval/encoders/adapters/timm.py": "called by load()",
        "mlcd_eval/encoders/adapters/timm_weights.py": "called by load()",
        "mlcd_eval/encoders/adapters/open_clip.py": "called by load()",
        "mlcd_eval/encoders/state_dicts.py": "called by the load() of every adapter",
        "mlcd_eval/encoders/torchscript.py": "an unpickler of ours",
        "mlcd_eval/extras/efficientnet_lite.py": "a package's own file",
        "mlcd_eval/features/store.py": "with a checksum",
        "mlcd_eval/protocols/docvqa/reader.py": "a file of this package",
        "mlcd_eval/support/npy.py": "read_npy is called within reading()",
        "mlcd_eval/imports/spreadsheet.py": "_check_size is called within reading()",
    }
    callers = {
        str(path.relative_to(ROOT)): calls
        for path in modules("mlcd_eval")
        if (calls := list(unguarded(ast.parse(path.read_text()))))
    }
    assert set(callers) <= set(allowed), callers


def test_files_stay_short():
    long = {str(path): len(path.read_text().splitlines()) for path in modules("mlcd_eval") + modules("mlcd_train")}
    assert {path: lines for path, lines in long.items() if lines > 350} == {}
