"""What goes to the Hugging Face hub, read back by its own library; no test leaves this machine."""

import socket

import pytest
import yaml
from conftest import make_result, metric
from huggingface_hub import ModelCard
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
from huggingface_hub.repocard_data import ModelCardData, model_index_to_eval_results

from mlcd_eval.cli import main
from mlcd_eval.errors import DataError
from mlcd_eval.records import ResultStore
from mlcd_eval.spec import TaskIndex
from mlcd_eval.tables.formats import render
from mlcd_eval.tables.hub import END, START, updated


def results():
    data = make_result().dataset.model_copy(update={"name": "food101"})
    return [
        make_result(metrics=[metric("acc1", 0.4525, (0.40, 0.5012)), metric("acc5", None)]),
        make_result(task="linear_probe/food101", metrics=[metric("acc1", 0.9)], dataset=data),
        make_result(task="knn/food101", metrics=[metric("knn_acc1@20", 0.8)], dataset=data),
    ]


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("this wants a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_model_index_is_read_back():
    name, found = model_index_to_eval_results(yaml.safe_load(render(results(), "model-index"))["model-index"])
    assert name == "tiny"
    assert [(one.task_name, one.metric_type, one.metric_value) for one in found] == [
        ("zeroshot/demo", "acc1", 0.4525),
        ("linear_probe/food101", "acc1", 0.9),
        ("knn/food101", "knn_acc1@20", 0.8),
    ]
    assert found[0].metric_args == {"ci95": [0.4, 0.5012], "num_scored": 200}
    assert (found[0].dataset_type, found[0].dataset_split) == ("demo", "test")
    assert found[1].dataset_type == TaskIndex.load().tasks["linear_probe/food101"].dataset.hub


def test_a_card_is_of_one_model(failed_result):
    with pytest.raises(DataError, match=r"^a model card is of one model: got records of tiny, other$"):
        render([make_result(), make_result("other")], "model-index")
    with pytest.raises(DataError, match=r"got records of none that succeeded$"):
        render([failed_result], "model-index")


def test_a_dry_run_prints_the_card_and_leaves_the_network_alone(tmp_path, capsys, offline):
    for result in results():
        ResultStore(tmp_path).write(result)
    assert main(["table", str(tmp_path), "--push-to-hub", "org/name", "--dry-run"]) == 0
    text = capsys.readouterr().out
    card = ModelCard(text)
    assert len(card.data.eval_results) == 3
    assert "| demo | acc1   | 200 | 45.25 [40.0, 50.1] |" in text
    assert (text.count(START), text.count(END)) == (1, 1)


def test_a_card_keeps_what_is_not_ours():
    before = ModelCard("---\nlicense: mit\n---\n\n# Mine\n\nWords.\n")
    once = str(updated(before, results()))
    again = ModelCard(str(updated(ModelCard(once), [make_result(metrics=[metric("acc1", 0.5)])])))
    assert again.data.license == "mit"
    assert "# Mine\n\nWords.\n" in again.text
    assert (again.text.count(START), again.text.count("50.00"), again.text.count("45.25")) == (1, 1, 0)
    values = {(one.task_name, one.metric_type): one.metric_value for one in again.data.eval_results}
    assert values["zeroshot/demo", "acc1"] == 0.5
    assert values["linear_probe/food101", "acc1"] == 0.9


def test_pushing_reads_the_card_and_writes_it(tmp_path, capsys, monkeypatch):
    ResultStore(tmp_path).write(make_result())
    pushed = []

    def push(card, repo, **_):
        pushed.append((repo, str(card)))
        return "https://hub/commit/1"

    def load(error):
        def method(_):
            raise error

        return method

    monkeypatch.setattr(ModelCard, "push_to_hub", push)
    command = ["table", str(tmp_path), "--push-to-hub", "org/name"]
    monkeypatch.setattr(ModelCard, "load", lambda _: ModelCard("---\nlicense: mit\n---\nWords.\n"))
    assert main(command) == 0
    assert capsys.readouterr().out == "https://hub/commit/1\n"
    missing = RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError)
    monkeypatch.setattr(ModelCard, "load", load(missing))
    assert main(command) == 0
    assert [repo for repo, _ in pushed] == ["org/name", "org/name"]
    assert isinstance(ModelCard(pushed[0][1]).data, ModelCardData)
    assert "Words." in pushed[0][1] and "Words." not in pushed[1][1]
    capsys.readouterr()
    monkeypatch.setattr(ModelCard, "load", load(LocalEntryNotFoundError("no connection\nat all")))
    assert main(command) == 2
    assert capsys.readouterr().err == (
        "mlcd-eval: error: --push-to-hub: cannot write the card of org/name: no connection at all\n"
    )
