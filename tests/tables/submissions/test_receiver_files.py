"""What each receiver's files hold, and what of them stays."""

import json

import pytest
import receiver_rules as rules
import yaml
from conftest import make_result, metric
from huggingface_hub import ModelCard, parse_eval_result_entries
from receiver_records import GIVEN, TASK, files, food

from mlcd_eval.spec import TaskIndex
from mlcd_eval.tables.site import DATASETS
from mlcd_eval.tables.submissions.opencodepapers import TITLES, title_of
from mlcd_eval.tables.submissions.receivers import prepare
from mlcd_eval.tables.submissions.submission import Options

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
