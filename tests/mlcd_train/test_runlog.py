"""Training logs: what a killed or damaged run leaves."""

import pytest

from mlcd_eval.errors import DataError
from mlcd_train.runlog import read_log


def test_the_whole_lines_are_read(tmp_path):
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    path.write_text('{"step": 1, "loss": 2.5}\n\n{"step": 2, "loss": null}\n{"step": 3, "lo')
    assert read_log(path) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"step": 1', r"log\.jsonl, line 2 is no JSON object: "),
        ('{"loss": 1}', r"log\.jsonl is damaged: a line has no step$"),
        ('{"step": "1"}', r"log\.jsonl is damaged: a line has no step$"),
        ("[1]", r"log\.jsonl, line 2 is no JSON object: got list, expected an object$"),
    ],
)
def test_a_damaged_line_is_a_sentence(tmp_path, line, message):
    (tmp_path / "log.jsonl").write_text(f'{{"step": 0}}\n{line}\n')
    with pytest.raises(DataError, match=message):
        read_log(tmp_path / "log.jsonl")
