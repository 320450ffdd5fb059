from pathlib import Path

import pytest

from mlcd_eval.cli import main
from mlcd_eval.records import read_all

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden():
    return GOLDEN


@pytest.fixture
def run_import(tmp_path):
    """Returns the exit code of the command line and the written records by task; with `name` only that model's."""

    def run(harness, *files, name=None):
        output = tmp_path / "out"
        code = main(["import", harness, *map(str, files), "--output", str(output), *(["--name", name] if name else [])])
        records = read_all([output]) if output.exists() else []
        return code, {record.task.name: record for record in records if name in (None, record.model.name)}

    return run
