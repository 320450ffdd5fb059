"""Submissions, checked by the receivers' rules."""

import json
import pkgutil
import sys

import pytest
import receiver_rules as rules
import yaml
from conftest import make_result, metric
from huggingface_hub import ModelCard, parse_eval_result_entries

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore
from mlcd_eval.spec import TaskIndex
from mlcd_eval.tables.identity import identity
from mlcd_eval.tables.site import DATASETS
from mlcd_eval.tables.submissions.opencodepapers import TITLES, title_of
from mlcd_eval.tables.submissions.receivers import RECEIVERS, ROWS, prepare
from mlcd_eval.tables.submissions.submission import Options

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
BOARD_FORM = {"opencodepapers", "codesota", "paper-with-me", "pwc-archive"}


def food(model="tiny", value=0.9, task=TASK, **changes):
    data = make_result().dataset.model_copy(update={"name": "food101"})
    return make_result(model, task, [metric("acc1", value, (value - 0.01, value + 0.01))], dataset=data, **changes)


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


def files(to, results, given, output):
    """Path -> text of a submission into a folder, where they are written."""
    _, submission = prepare(to, results, given, output)
    for name, text in submission.files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(text.encode())
    return submission.files


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


BENCH = {
    "title": "zero-shot-transfer-image-classification-on-food-101",
    "task-hierarchy": ["Zero-Shot Transfer Image Classification"],
    "dataset-info": {"link": "https://example.org/"},
    "benchmark": {
        "fields": [
            {"key": "p", "label": "Paper"},
            {"key": "c", "label": "Code"},
            {"key": "m1", "label": "accuracy (private)", "sortable": "true"},
            {"key": "m2", "label": "Other", "sortable": "true"},
            {"key": "n", "label": "ModelName"},
            {"key": "d", "label": "ReleaseDate", "sortable": "true"},
        ],
        "items": [
            {"p": {"name": "P", "link": "https://example.org/p"}, "c": "", "n": "A", "d": "2020-01-01", "m1": "92.1%"},
            {"p": "", "c": "", "n": "B", "d": "", "m1": " 88.0%", "m2": "9"},
            {"p": "", "c": "", "n": "C", "d": "", "m2": "99"},
        ],
    },
}


@pytest.mark.parametrize(
    ("values", "ours", "place"),
    [
        (("92.1%", "88.0%"), "90.00%", 1),
        (("92.1", "88.0"), "90.00", 1),
        (("0.89", "0.88"), "0.9000", 0),
        (("97%", "95%"), "90.00%", 2),
    ],
)
def test_a_row_goes_into_a_board_of_opencodepapers_in_its_order_and_form(values, ours, place, options, tmp_path):
    board = json.loads(json.dumps(BENCH))
    for item, value in zip(board["benchmark"]["items"], values, strict=False):
        item["m1"] = value
    path = tmp_path / f"{board['title']}.json"
    path.write_text(json.dumps(board, indent=2))
    texts = files("opencodepapers", [food(task="zeroshot/food101")], options("opencodepapers"), tmp_path)
    assert list(texts) == [path.name]
    row = {
        "p": {"name": GIVEN["paper_title"], "link": GIVEN["paper"]},
        "c": GIVEN["code"],
        "n": "tiny",
        "d": "2024-07-24",
        "m1": ours,
    }
    board["benchmark"]["items"].insert(place, row)
    assert texts[path.name] == json.dumps(board, indent=2)  # byte by byte, the row apart
    assert rules.opencodepapers(path.name, board) == []


def test_a_new_column_and_a_row_that_is_there_with_other_numbers(options, tmp_path):
    given = options("opencodepapers")
    ((name, _),) = files("opencodepapers", [food(task="zeroshot/food101")], given, tmp_path).items()
    board = json.loads((tmp_path / name).read_text())
    board["benchmark"]["fields"][2]["label"] = "Something else"
    (tmp_path / name).write_text(json.dumps(board))
    (text,) = files("opencodepapers", [food("new", task="zeroshot/food101")], given, tmp_path).values()
    assert [field["key"] for field in json.loads(text)["benchmark"]["fields"]] == ["p", "c", "m1", "m2", "n", "d"]
    assert rules.opencodepapers(name, json.loads(text)) == []
    _, again = prepare("opencodepapers", [food("new", 0.5, "zeroshot/food101")], given, tmp_path)
    assert again.refused == [
        f"Food-101 of new: {name} holds other numbers of this model and paper: remove that row first"
    ]
    assert again.files == {name: text}


def test_what_their_check_takes_for_a_script_is_refused(options, tmp_path):
    _, submission = prepare("opencodepapers", [food("<script>x")], options("opencodepapers"), tmp_path)
    assert submission.refused == ["Food-101 of <script>x: its text looks like a script to their check"]
    assert submission.files == {}


def test_titles_of_boards_are_different_for_different_boards():
    tasks = {"Zero-Shot Transfer Image Classification", "Referring Expression Segmentation"}
    boards = {
        *TITLES,
        *(
            (task, name)
            for task in tasks
            for name in [*DATASETS.values(), "ImageNet - 10-shot", "a b", "a-b", "imagenet"]
        ),
    }
    assert len({title_of(*board) for board in boards}) == len(boards)
    assert title_of("Visual Question Answering (VQA)", "DocVQA test") == "visual-question-answering-on-docvqa-test"
    assert title_of("Self-Supervised Image Classification", "ImageNet").endswith("-on-imagenet")


def archive(text_of=lambda tasks: json.dumps(tasks, indent=2, sort_keys=True)):
    """An archive in the form of sota-extractor, with one task below another."""

    def row(name, values):
        links = {"code_links": [], "model_links": [], "uses_additional_data": False}
        return {
            "model_name": name,
            "paper_title": "é",
            "paper_url": "u",
            "paper_date": None,
            "metrics": values,
            **links,
        }

    def dataset(name, metrics, rows):
        rest = {"description": "", "subdatasets": [], "dataset_links": [], "dataset_citations": []}
        return {"dataset": name, "sota": {"metrics": metrics, "rows": rows}, **rest}

    def task(name, datasets, subtasks=()):
        rest = {"description": "", "categories": [], "synonyms": [], "source_link": None}
        return {"task": name, "datasets": datasets, "subtasks": list(subtasks), **rest}

    rows = [row("best", {"Top 1 Accuracy": "95.5"}), row("none", {"Other": "1"})]
    probe = task("Self-Supervised Image Classification", [dataset("Food-101", ["Top 1 Accuracy", "Other"], rows)])
    return text_of([task("Image Classification", [dataset("X", [], [])], [probe])])


@pytest.mark.parametrize("indent", [2, None])
def test_rows_go_into_the_archive_and_nothing_else_moves(indent, options, tmp_path):
    path = tmp_path / "evaluation-tables.json"
    path.write_text(archive(lambda tasks: json.dumps(tasks, indent=indent, sort_keys=True)))
    results = [food(), food("better", 0.97), food(task="zeroshot/food101")]
    (text,) = files("pwc-archive", results, options("pwc-archive"), tmp_path).values()
    tasks = json.loads(text)
    assert rules.evaluation_tables(tasks) == []
    assert [task["task"] for task in tasks] == ["Image Classification", "Zero-Shot Transfer Image Classification"]
    table = tasks[0]["subtasks"][0]["datasets"][0]["sota"]
    assert [row["model_name"] for row in table["rows"]] == ["better", "best", "tiny", "none"]
    assert table["metrics"][:2] == ["Top 1 Accuracy", "Other"]
    assert table["rows"][2]["paper_date"] == "2024-07-24"
    if indent:  # as sota-extractor itself would write it
        assert text == json.dumps(tasks, indent=2, sort_keys=True)
    ours = ("better", "tiny")
    table["rows"] = [row for row in table["rows"] if row["model_name"] not in ours]
    table["metrics"] = table["metrics"][:2]
    assert tasks[:1] == json.loads(archive())
    _, again = prepare("pwc-archive", [food(value=0.1)], options("pwc-archive"), tmp_path)
    assert len(again.refused) == 1 and again.files == {path.name: text}


def test_a_date_of_a_paper_that_is_not_known_is_null(options, tmp_path):
    (text,) = files("pwc-archive", [food()], Options(paper=GIVEN["paper"]), tmp_path).values()
    assert json.loads(text)[0]["datasets"][0]["sota"]["rows"][0]["paper_date"] is None


def test_papers_of_others_in_a_file_of_paper_with_me_stay(options, tmp_path):
    given = options("paper-with-me")
    files("paper-with-me", [food()], given, tmp_path)
    (text,) = files("paper-with-me", [food(value=0.5), food(task="zeroshot/food101")], given, tmp_path).values()
    rows = json.loads(text)
    assert [row["metrics"].get("Top 1 Accuracy") for row in rows] == ["50.00", None]


def test_every_eval_ever(options, tmp_path):
    task = food().task.model_copy(update={"settings": {"harness": "clip-benchmark"}})
    unknown = food().model_copy(update={"task": task, "metrics": (metric("acc1", 0.4, n=None),)})
    texts = files("every-eval-ever", [food(), unknown], options("every-eval-ever"), tmp_path)
    logs = {name: json.loads(text) for name, text in texts.items()}
    assert {name: rules.every_eval_ever(name, log) for name, log in logs.items()} == {name: [] for name in logs}
    ours, others = sorted(logs.values(), key=lambda log: log["eval_library"]["name"], reverse=True)
    assert (others["eval_library"]["name"], ours["eval_library"]["name"]) == ("clip-benchmark", "mlcd-eval")
    (result,) = ours["evaluation_results"]
    assert result["score_details"]["score"] == 0.9
    uncertainty = result["score_details"]["uncertainty"]
    assert uncertainty["num_samples"] == 200
    interval = uncertainty["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (0.89, 0.91)
    assert "uncertainty" not in others["evaluation_results"][0]["score_details"]
    assert result["source_data"]["hf_repo"] == TaskIndex.load().tasks[TASK].dataset.hub
    assert ours["retrieved_timestamp"] == "1767225600.0"  # 2026-01-01T00:00:00Z
    assert ours["source_metadata"]["evaluator_relationship"] == "third_party"
    model = ours["model_info"]
    assert (model["name"], model["id"], model["developer"]) == ("tiny", "org/tiny", "org")
    details = model["additional_details"]
    assert (details["model_availability"], details["num_params"], details["precision"]) == ("other", "14500000", "fp32")


def test_every_eval_ever_says_what_was_read_from_the_hub(options, tmp_path):
    result = food()
    result = result.model_copy(update={"model": result.model.model_copy(update={"spec": "hf:org/tiny"})})
    (text,) = files("every-eval-ever", [result], options("every-eval-ever"), tmp_path).values()
    assert json.loads(text)["model_info"]["additional_details"]["model_availability"] == "hf"


def test_huggingface(options, tmp_path, eval_yaml):
    assert rules.eval_yaml(yaml.safe_load(eval_yaml.read_text())) == []
    shots = food().task.model_copy(update={"settings": {"layer": "penultimate", "shots": 4}})
    results = [food(), food().model_copy(update={"task": shots}), make_result()]
    _, submission = prepare("huggingface", results, options("huggingface"), tmp_path)
    ((name, text),) = submission.files.items()
    assert name.startswith(".eval_results/") and name.endswith(".yaml")
    (entry,) = parse_eval_result_entries(yaml.safe_load(text))
    assert (entry.dataset_id, entry.dataset_revision, entry.task_id) == ("org/food101", "abc123", TASK)
    assert (entry.value, entry.source_url, entry.source_name) == (0.9, GIVEN["paper"], GIVEN["paper_title"])
    assert entry.date == "2026-01-01T00:00:00+00:00"
    assert entry.notes == "acc1, 90.00 [89.0, 91.0] with its 95% interval, n = 200"
    assert submission.refused == [
        f"{TASK} of tiny: it was measured with shots=4, and org/food101 declares the task without",
        "zeroshot/demo of tiny: org/food101 declares no task of this name",
    ]
    _, unregistered = prepare("huggingface", results[:1], Options(), tmp_path)
    assert unregistered.files == {}
    assert "is none of the known benchmarks" in unregistered.refused[0]


def test_a_model_card_keeps_what_is_there(options, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    (text,) = files("model-index", [food()], options("model-index"), tmp_path).values()
    card = ModelCard(text)
    assert card.data.license == "mit" and "# Mine" in text
    assert [entry.metric_value for entry in card.data.eval_results] == [0.9]


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
        (["--to", "pwc-archive", "--model-id", "a/b"], "--model-id goes with --to model-index or every-eval-ever: got"),
        (["--to", "codesota", "--paper", "https://me:secret@host.org/"], "'paper' is"),
        (["--to", "codesota", "--paper", "https://a.org/", "--paper-date", "May"], "'paper_date' is 'May'"),
        (["--to", "paper-with-me", "--send"], "--send: there is no client for paper-with-me: "),
        (["--to", "model-index", "--send"], "--send: a model card goes to a repository: expected --model-id ORG/NAME"),
        (["--to", "huggingface", "--benchmark", "a/b=none.yaml"], "--benchmark: none.yaml does not exist"),
        (["--to", "huggingface"], "none of the records is accepted by huggingface"),
    ],
)
def test_mistakes_are_one_sentence(words, message, tmp_path, capsys):
    assert run(tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_file_that_is_none_of_the_receivers(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evaluation-tables.json").write_text('{"a": 1}')
    assert run(tmp_path, "--to", "pwc-archive") == 2
    assert "evaluation-tables.json: got no evaluation tables" in capsys.readouterr().err


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
    (tmp_path / "mailer.py").write_text(
        "from mlcd_eval.tables.submissions.receivers import Receiver\n"
        "from mlcd_eval.tables.submissions.submission import Submission\n"
        "ROW = Receiver('mailer:write', 'a letter', 'none', 'post it')\n"
        "def write(request):\n    return Submission({'letter.txt': f'{len(request.results)} numbers'})\n"
    )
    info = tmp_path / "mailer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mailer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlcd_eval.receivers]\nmail = mailer:ROW\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    vars(RECEIVERS).pop("added", None)
    try:
        assert run(tmp_path, "--to", "mail") == 0
    finally:
        vars(RECEIVERS).pop("added", None)
        sys.modules.pop("mailer", None)
    assert (tmp_path / "out" / "letter.txt").read_text() == "1 numbers"
