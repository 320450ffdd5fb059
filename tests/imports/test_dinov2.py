"""The log that DINOv2's linear evaluation writes."""

import pytest

LINE = '{"best_classifier": {"name": "a", "accuracy": %s}}\n'


def test_the_last_iteration_counts(run_import, golden):
    code, records = run_import("dinov2", golden / "results_eval_linear.json", name="vits14")
    result = records["imported/dinov2-linear"]
    assert code == 0 and (result.primary.name, result.primary.value) == ("accuracy", 0.8125)
    assert result.task.settings == {"harness": "dinov2", "iterations": 12500}
    assert result.details["theirs"]["best_classifier"]["name"].startswith("classifier_4_blocks_avgpool_True")
    assert result.dataset.name == result.dataset.split == "unknown" and result.primary.num_scored is None


def test_it_names_no_model(run_import, golden, capsys):
    assert run_import("dinov2", golden / "results_eval_linear.json") == (2, {})
    assert "names no model: expected --name MODEL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "is not a result file of dinov2: expected lines `iter: N`"),
        (LINE % 0.5, "is not a result file of dinov2"),
        ("iter: 5\n" + LINE % 81.2, "accuracy of iteration 5 is 81.2, expected a fraction, 0 to 1"),
        ("iter: 5\n" + LINE % "null", "accuracy of iteration 5 is None, expected a fraction"),
        (2 * ("iter: 5\n" + LINE % 0.5), "holds 2 results of iteration 5 and does not say of which data"),
    ],
)
def test_files_that_are_refused(run_import, tmp_path, capsys, text, message):
    path = tmp_path / "results_eval_linear.json"
    path.write_text(text)
    assert run_import("dinov2", path, name="x") == (2, {})
    assert message in capsys.readouterr().err
