import pytest
from receiver_records import GIVEN

from mlcd_eval.cli import main
from mlcd_eval.tables.submissions.receivers import RECEIVERS
from mlcd_eval.tables.submissions.submission import Options


@pytest.fixture
def eval_yaml(tmp_path):
    path = tmp_path / "eval.yaml"
    assert main(["bench", "init", "food101", "--output", str(path)]) == 0
    return path


@pytest.fixture
def options(eval_yaml):
    """What a receiver takes of GIVEN."""

    def of(to, **changes):
        given = {**GIVEN, "benchmark": f"org/food101@abc123={eval_yaml}", **changes}
        return Options(**{name: value for name, value in given.items() if name in RECEIVERS[to].takes})

    return of
