"""Submissions, checked by the receivers' rules."""

import json
import pkgutil
from types import SimpleNamespace

import pytest
import receiver_rules as rules
import yaml
from conftest import make_result, metric
from installed import installed
from receiver_records import TASK, files, food

from mlcd_eval.cli import main
from mlcd_eval.errors import DataError
from mlcd_eval.records import ResultStore
from mlcd_eval.spec import TaskIndex
from mlcd_eval.tables.identity import identity
from mlcd_eval.tables.submissions.every_eval_ever import _range, _source
from mlcd_eval.tables.submissions.opencodepapers import _in_column
from mlcd_eval.tables.submissions.pwc_archive import _position
from mlcd_eval.tables.submissions.receivers import RECEIVERS, ROWS, prepare
from mlcd_eval.tables.submissions.submission import Options

BOARD_FORM = {"opencodepapers", "codesota", "paper-with-me", "pwc-archive"}


def everything(tmp_path):
    return {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_row_names_functions_and_options_that_exist(row):
    assert callable(pkgutil.resolve_name(row.function))
    assert row.send is None or callable(pkgutil.resolve_name(row.send))
    assert set(row.needs) <= set(row.takes) <= set(Options.model_fields)


@pytest.mark.parametrize("to", ROWS)
def test_the_same_submission_twice_changes_nothing(to, options, tmp_path):
    results = [food(), food(task="zeroshot/food101", value=0.5)]
    once = files(to, results, options(to), tmp_path / "out")
    assert once
    assert files(to, results, options(to), tmp_path / "out") == once
    assert set(everything(tmp_path / "out")) == set(once)


@pytest.mark.parametrize("to", ROWS)
def test_what_is_no_result_is_refused(to, options, tmp_path, failed_result):
    bad = [failed_result, food(limit=40), make_result(metrics=[metric("acc1", None)])]
    _, submission = prepare(to, [*bad, food()], options(to), tmp_path)
    assert submission.refused == [
        "zeroshot/demo of tiny: the task failed",
        f"{TASK} of tiny: it is over the first 40 samples only (--limit)",
        "zeroshot/demo of tiny: its primary metric is undefined",
    ]
    assert submission.files == prepare(to, [food()], options(to), tmp_path)[1].files
    assert prepare(to, bad, options(to), tmp_path)[1].files == {}


@pytest.mark.parametrize("to", ROWS)
def test_nothing_private_is_given_away(to, options, tmp_path):
    model = food().model.model_copy(
        update={"spec": "open_clip:local-dir:/home/me/hf_SECRET", "extra": {"k": "hf_SECRET"}}
    )
    result = food(environment={"HF_TOKEN": "hf_SECRET"}).model_copy(update={"model": model})
    assert "hf_SECRET" not in "".join(prepare(to, [result], options(to), tmp_path)[1].files.values())


def keys(to, texts):
    """What tells two rows of a receiver apart."""
    if to == "opencodepapers":
        boards = [json.loads(text) for text in texts.values()]
        return [
            (board["title"], item["n"], item["p"]["link"]) for board in boards for item in board["benchmark"]["items"]
        ]
    if to == "codesota":
        answers = [rules.issue_answers(text) for text in texts.values()]
        return [(answer["Benchmark / dataset"], answer["Model / method name"]) for answer in answers]
    if to == "paper-with-me":
        rows = [row for text in texts.values() for row in json.loads(text)]
        return [(row["task"], row["dataset"], row["model_name"], row["paper_url"]) for row in rows]
    if to == "every-eval-ever":
        return [row["evaluation_name"] for text in texts.values() for row in json.loads(text)["evaluation_results"]]
    tasks = [task for text in texts.values() for task in json.loads(text)]
    return [
        (task["task"], data["dataset"], row["model_name"])
        for task in tasks
        for data in task["datasets"]
        for row in data["sota"]["rows"]
    ]


@pytest.mark.parametrize("to", sorted(BOARD_FORM | {"every-eval-ever"}))
def test_numbers_of_different_identity_never_share_a_row(to, options, tmp_path):
    def settings(**values):
        return food().task.model_copy(update={"settings": {"layer": "penultimate", **values}})

    results = [
        food(),
        food(task="zeroshot/food101"),
        food(task="knn/food101"),
        food().model_copy(update={"task": settings(shots=4)}),
        food().model_copy(update={"task": settings(shots=16)}),
        food().model_copy(update={"task": settings(layer="projected")}),
        food().model_copy(update={"dataset": food().dataset.model_copy(update={"fingerprint": "e" * 64})}),
        food().model_copy(update={"dataset": food().dataset.model_copy(update={"split": "val"})}),
    ]
    assert len({identity(result) for result in results}) == len(results)
    rows = keys(to, files(to, results, options(to), tmp_path / "out"))
    assert len(rows) == len(set(rows)) == len(results)


@pytest.mark.parametrize("to", sorted(BOARD_FORM))
def test_files_follow_the_receivers_rules(to, options, tmp_path):
    results = [food(), food("other", 0.95), food(task="zeroshot/food101"), make_result("m", "zeroshot/my_data+(x)")]
    texts = files(to, results, options(to), tmp_path)
    check = {
        "opencodepapers": lambda name, text: rules.opencodepapers(name, json.loads(text)),
        "codesota": lambda _, text: rules.codesota(text),
        "paper-with-me": lambda _, text: [wrong for row in json.loads(text) for wrong in rules.paper_with_me(row)],
        "pwc-archive": lambda _, text: rules.evaluation_tables(json.loads(text)),
    }[to]
    assert {name: check(name, text) for name, text in texts.items()} == {name: [] for name in texts}
    assert len(keys(to, texts)) == len(results)


def run(tmp_path, *words, results=None):
    for result in results or [food()]:
        ResultStore(tmp_path / "runs").write(result)
    return main(["submit", str(tmp_path / "runs"), "--output", str(tmp_path / "out"), *words])


def test_the_command_writes_files_and_sends_nothing(tmp_path, capsys):
    words = ["--to", "paper-with-me", "--dry-run"]
    assert run(tmp_path, *words) == 0
    (path,) = (tmp_path / "out" / "contributions").iterdir()
    out = capsys.readouterr().out
    assert f"new: {path}" in out and '"Top 1 Accuracy": "90.00"' in out and "nothing was sent: " in out
    before = everything(tmp_path / "out")
    assert run(tmp_path, *words) == 0
    assert f"unchanged: {path}" in capsys.readouterr().out
    assert everything(tmp_path / "out") == before


def test_sending(tmp_path, capsys, monkeypatch):
    pushed = []
    monkeypatch.setattr(
        "mlcd_eval.tables.submissions.model_card.push_to_hub",
        lambda results, repo, allow_partial: pushed.append(repo) or "https://c/1\n",
    )
    assert run(tmp_path, "--to", "model-index", "--model-id", "org/name") == 0
    assert pushed == []
    assert run(tmp_path, "--to", "model-index", "--model-id", "org/name", "--send") == 0
    assert pushed == ["org/name"]
    assert capsys.readouterr().out.endswith("sent: https://c/1\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "codesota"], "--to codesota needs --paper"),
        (["--to", "opencodepapers"], "--to opencodepapers needs --paper, --paper-title"),
        (["--to", "pwc-archive", "--model-id", "a/b"], "--model-id goes with --to model-index or every-eval-ever: got"),
        (["--to", "codesota", "--paper", "https://me:secret@host.org/"], "'paper' is"),
        (["--to", "codesota", "--paper", "https://a.org/", "--paper-date", "May"], "'paper_date' is 'May'"),
        (["--to", "paper-with-me", "--send"], "--send: there is no client for paper-with-me: "),
        (["--to", "model-index", "--send"], "--send: a model card goes to a repository: expected --model-id ORG/NAME"),
        (["--to", "huggingface", "--benchmark", "a/b=none.yaml"], "--benchmark: none.yaml does not exist"),
        (
            ["--to", "huggingface", "--benchmark", "a/b=list.yaml"],
            "--benchmark: list.yaml: expected a mapping with name",
        ),
        (["--to", "huggingface", "--benchmark", "a/b=bad.yaml"], "--benchmark: bad.yaml: "),
        (["--to", "huggingface"], "none of the records is accepted by huggingface"),
    ],
)
def test_mistakes_are_one_sentence(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "bad.yaml").write_text("a: [1,\n b: {")
    assert run(tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and message in error.splitlines()[-1]


@pytest.mark.parametrize(
    ("to", "text", "message"),
    [
        ("pwc-archive", b'{"a": 1}', "got no evaluation tables"),
        ("pwc-archive", b"[\xff]", "byte 1 is not UTF-8: expected a file of the receiver"),
        ("opencodepapers", b"{}", "got no board of OpenCodePapers, expected its fields and items"),
        ("opencodepapers", b"{", "got no board of OpenCodePapers, expected its fields and items"),
        ("paper-with-me", b"{", "is no JSON: "),
        ("paper-with-me", b"{}", ": expected a list of rows"),
        ("paper-with-me", b"[1]", ": expected a list of rows"),
    ],
)
def test_a_file_that_is_none_of_the_receivers(to, text, message, options, tmp_path):
    given, output = options(to), tmp_path / "out"
    for name in files(to, [food()], given, output):
        (output / name).write_bytes(text)
    with pytest.raises(DataError, match=message):
        prepare(to, [food()], given, output)


@pytest.mark.parametrize(
    ("value", "unit", "column", "written"),
    [
        ("0.9", "fraction", ["0.5", "1"], "0.9"),
        ("0.9", "fraction", ["50.1", "0.3"], "90.00"),
        ("90.00", "percent", ["0.5"], "0.9000"),
        ("90.00", "percent", ["50%", "60%", "70"], "90.00%"),
        ("90.00", "percent", ["50%", "60"], "90.00"),
        ("3", "count", ["0.5"], "3"),
        ("0.9", "fraction", ["-"], "0.9"),
    ],
)
def test_a_value_takes_the_form_of_its_column_in_opencodepapers(value, unit, column, written):
    assert _in_column(value, unit, column) == written


@pytest.mark.parametrize(("metrics", "place"), [(["acc1"], 1), (["other", "acc1"], 2), (["unknown"], 2), ([], 2)])
def test_a_row_of_the_archive_stands_before_the_first_that_is_worse(metrics, place):
    rows = [{"metrics": {"acc1": text, "other": "9"}} for text in ("95", "80")]
    ours = SimpleNamespace(metrics={"acc1": "90.0", "unknown": "1"})
    assert _position(ours, {"rows": rows, "metrics": metrics}, {"acc1": True, "other": True}) == place
    assert _position(ours, {"rows": rows, "metrics": ["acc1"]}, {"acc1": False}) == 0


def test_a_number_without_a_known_range_has_no_type():
    known = {"score_type": "continuous", "min_score": 0, "max_score": 1}
    assert _range(metric("acc1", 0.5)) == known
    assert _range(metric("acc1", 0.5, unit="count")) == _range(metric("their_score", 0.5)) == {}


def test_data_that_is_on_no_hub_is_called_by_its_name():
    assert _source(make_result()) == {"dataset_name": "demo", "source_type": "other"}


def test_an_output_that_is_a_file(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert run(tmp_path, "--to", "paper-with-me") == 2
    assert "cannot be created" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_records_of_two_models(tmp_path, capsys):
    assert run(tmp_path, "--to", "model-index", results=[food(), food("other")]) == 2
    assert "--to model-index takes records of one model: got records of " in capsys.readouterr().err


def test_bench_init(tmp_path, capsys, eval_yaml):
    values = yaml.safe_load(eval_yaml.read_text())
    names = {name for name, task in TaskIndex.load().tasks.items() if task.dataset.name == "food101"}
    assert {task["id"] for task in values["tasks"]} == names
    assert {task["split"] for task in values["tasks"]} == {"test"}
    assert main(["bench", "init", "food101", "--output", str(eval_yaml)]) == 0
    eval_yaml.write_text("mine")
    assert main(["bench", "init", "food101", "--output", str(eval_yaml)]) == 2
    assert eval_yaml.read_text() == "mine"
    assert main(["bench", "init", "food11", "--output", str(tmp_path / "x")]) == 2
    assert "(did you mean 'food101'?)" in capsys.readouterr().err


def test_another_package_adds_a_receiver(tmp_path, monkeypatch, capsys):
    code = (
        "from mlcd_eval.tables.submissions.receivers import Receiver\n"
        "from mlcd_eval.tables.submissions.submission import Submission\n"
        "ROW = Receiver('mailer:write', 'a letter', 'none', 'post it')\n"
        "def write(request):\n    return Submission({'letter.txt': f'{len(request.results)} numbers'})\n"
    )
    with installed(tmp_path, monkeypatch, RECEIVERS, "mail = mailer:ROW", code):
        assert run(tmp_path, "--to", "mail") == 0
    assert (tmp_path / "out" / "letter.txt").read_text() == "1 numbers"
