"""One small package adds a protocol, a kind of model, a data scheme and a table format by its entry points alone."""

import json

from documentation import ROOT, blocks, install, run

ADDED = {
    "protocol": ("mlcd_eval.protocols.registry", "PROTOCOLS", "nearest_mean"),
    "encoder_kind": ("mlcd_eval.encoders.kinds", "KINDS", "pixels"),
    "data_scheme": ("mlcd_eval.data.kinds", "SCHEMES", "npz"),
    "table_format": ("mlcd_eval.tables.formats", "FORMATS", "leaders"),
}
"""Page of docs/contributing -> module, registry and name of what its package adds."""
LOOK = """
import importlib, json, sys
names = {}
for page, (module, registry, name) in json.loads(sys.argv[1]).items():
    things = getattr(importlib.import_module(module), registry)
    names[page] = [name in list(things), things.package(name)]
listed = "my_package" in sys.modules
for page, (module, registry, name) in json.loads(sys.argv[1]).items():
    assert getattr(importlib.import_module(module), registry)[name] is not None
print(json.dumps([names, listed]))
"""


def test_a_package_adds_one_of_each_and_is_imported_when_it_is_used(tmp_path):
    page = tmp_path / "all.md"
    sources = [block for name in ADDED for block in blocks(ROOT / "docs" / "contributing" / f"{name}.md") if block.file]
    page.write_text("".join(f"```{block.language} {block.file}\n{block.text}```\n" for block in sources))
    site = install(page, tmp_path)
    (tmp_path / "look.py").write_text(LOOK)
    names, imported = json.loads(run(f"python look.py '{json.dumps(ADDED)}'", tmp_path, site))
    assert names == {name: [True, "my-package"] for name in ADDED}
    assert not imported
