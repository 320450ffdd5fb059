"""Records that are submitted, and the files that they become."""

from conftest import make_result, metric

from mlcd_eval.tables.submissions.receivers import prepare

TASK = "linear_probe/food101"
GIVEN = {
    "paper": "https://arxiv.org/abs/2407.17331",
    "paper_title": "Multi-label <b>Cluster</b> Discrimination",
    "paper_date": "2024-07-24",
    "code": "https://github.com/deepglint/unicom",
    "model_id": "org/tiny",
    "organization": "A laboratory",
    "relationship": "third_party",
}


def food(model="tiny", value=0.9, task=TASK, **changes):
    data = make_result().dataset.model_copy(update={"name": "food101"})
    return make_result(model, task, [metric("acc1", value, (value - 0.01, value + 0.01))], dataset=data, **changes)


def files(to, results, given, output):
    """Path -> text of a submission into a folder, where they are written."""
    _, submission = prepare(to, results, given, output)
    for name, text in submission.files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(text.encode())
    return submission.files
