"""The receivers' own rules, written again from their documentation and checks. Each returns what is wrong."""

import datetime
import re
from pathlib import PurePosixPath

DATE = r"\d{4}-\d{2}-\d{2}"
ADDRESS = r"(https?://)?([a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}(:\d+)?(/.*)?"


def opencodepapers(name, board):
    """tests/test_benchmark_files.py of OpenCodePapers at 09d19782."""
    wrong = []
    title = board.get("title")
    if title != PurePosixPath(name).stem or not re.fullmatch("[a-z0-9-]+", title):
        wrong.append("title")
    if not isinstance(board["dataset-info"]["link"], str):
        wrong.append("data set's link")
    if not board["task-hierarchy"] or not all(isinstance(task, str) for task in board["task-hierarchy"]):
        wrong.append("task-hierarchy")
    keys = [field["key"] for field in board["benchmark"]["fields"]]
    if not {"p", "c", "n", "d"} < set(keys) or len(keys) != len(set(keys)):
        wrong.append("fields")
    for item in board["benchmark"]["items"]:
        if not {"p", "c", "n", "d"} <= set(item) or not any(key.startswith("m") for key in item):
            wrong.append("keys of a row")
        if not set(item) <= set(keys):
            wrong.append("a value without its field")
        if isinstance(item["p"], dict) and not (item["p"]["name"] and re.fullmatch(ADDRESS, item["p"]["link"])):
            wrong.append("paper")
        if item["c"] and not re.fullmatch(ADDRESS, item["c"]):
            wrong.append("code")
        if item["d"] and not re.fullmatch(DATE, item["d"]):
            wrong.append("date")
    return wrong


ISSUE = {
    "Benchmark / dataset": True,
    "Model / method name": True,
    "Results": True,
    "Primary source": True,
    "Code / weights": False,
    "Comparability notes": False,
    "Verification": True,
}
"""submit_result.yml of CodeSOTA at a904dc35: label -> whether an answer is required, in the form's order."""


def issue_answers(text):
    """Label -> answer, as GitHub writes an issue made by a form; an empty answer is `_No response_`."""
    parts = re.split(r"(?m)^### (.*)\n\n", text)
    assert not parts[0]
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def codesota(text):
    answers = issue_answers(text)
    wrong = [] if list(answers) == list(ISSUE) else ["labels"]
    wrong += [label for label, required in ISSUE.items() if required and answers[label] in ("", "_No response_")]
    for line in answers["Results"].splitlines():
        if not re.fullmatch(r"[^:]+: \S+", line):
            wrong.append(f"result {line}")
    wrong += [line for line in answers["Verification"].splitlines() if not line.startswith("- [ ] ")]
    return wrong


def paper_with_me(row):
    """pwc/contrib.py of paper-with-me at 97cb5309."""
    wrong = [name for name in ("task", "dataset", "model_name", "metrics") if row.get(name) in (None, "")]
    metrics = row["metrics"]
    if not isinstance(metrics, dict) or not metrics:
        wrong.append("metrics")
    wrong += [name for name, value in metrics.items() if not isinstance(value, (str, int, float))]
    if row.get("paper_date") and not re.fullmatch(DATE, row["paper_date"]):
        wrong.append("date")
    for address in [row.get("paper_url"), *(link.get("url", "") for link in row.get("code_links", []))]:
        if address is not None and not re.match("https?://", address):
            wrong.append("address")
    return wrong


PROPERTIES = {
    "row": {
        "code_links",
        "metrics",
        "model_links",
        "model_name",
        "paper_date",
        "paper_title",
        "paper_url",
        "uses_additional_data",
    },
    "dataset": {"dataset", "dataset_citations", "dataset_links", "description", "sota", "subdatasets"},
    "task": {"categories", "datasets", "description", "source_link", "subtasks", "synonyms", "task"},
}


def evaluation_tables(tasks):
    """taskdb/v01/schemas.py of sota-extractor at 47481414: its names, and nothing else."""
    wrong = []
    for task in tasks:
        wrong += [] if set(task) == PROPERTIES["task"] else ["task"]
        wrong += evaluation_tables(task["subtasks"])
        for dataset in task["datasets"]:
            wrong += [] if set(dataset) == PROPERTIES["dataset"] else ["dataset"]
            wrong += [] if set(dataset["sota"]) == {"metrics", "rows"} else ["sota"]
            for row in dataset["sota"]["rows"]:
                wrong += [] if set(row) == PROPERTIES["row"] else ["row"]
                wrong += [] if row["paper_date"] is None or re.fullmatch(DATE, row["paper_date"]) else ["date"]
                wrong += [name for name in row["metrics"] if name not in dataset["sota"]["metrics"]]
                wrong += [] if isinstance(row["uses_additional_data"], bool) else ["additional data"]
    return wrong


def every_eval_ever(name, log):
    """eval.schema.json 0.2.1 at 0666632d and the checks of validation_core.py at 21b3d1ab that need no network."""
    wrong = []
    uuid4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    model = log["model_info"]
    if not re.fullmatch(rf"data/[^/]+/{model['id']}/{uuid4}[.]json", name):
        wrong.append("path")
    required = {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info"}
    required |= {"eval_library", "evaluation_results"}
    optional = {"dedupe_identity", "evaluation_timestamp", "detailed_evaluation_results"}
    if not required <= set(log) <= required | optional:
        wrong.append("keys")
    if not re.fullmatch(rf"[^/]+/{model['id']}/{log['retrieved_timestamp']}", log["evaluation_id"]):
        wrong.append("evaluation_id")
    datetime.datetime.fromtimestamp(float(log["retrieved_timestamp"]), datetime.timezone.utc)
    source = log["source_metadata"]
    if source["source_type"] not in ("documentation", "evaluation_run") or not source["source_organization_name"]:
        wrong.append("source")
    if source["evaluator_relationship"] not in ("first_party", "third_party", "collaborative", "other"):
        wrong.append("relationship")
    details = model["additional_details"]
    if details["deployment_type"] != "local" or details["model_availability"] not in ("hf", "unavailable", "other"):
        wrong.append("deployment")
    if not log["eval_library"]["version"]:
        wrong.append("library")
    texts = [details]
    for result in log["evaluation_results"]:
        texts.append(result["score_details"]["details"])
        wrong += _eee_result(result)
    wrong += [key for values in texts for key, value in values.items() if not isinstance(value, str)]
    return wrong


def _eee_result(result):
    wrong = []
    score, metric, data = result["score_details"]["score"], result["metric_config"], result["source_data"]
    if not isinstance(score, (int, float)) or not isinstance(metric["lower_is_better"], bool):
        wrong.append("score")
    if metric.get("score_type") == "continuous" and not metric["min_score"] <= score <= metric["max_score"]:
        wrong.append("bounds")
    if data["source_type"] not in ("hf_dataset", "other") or not data["dataset_name"]:
        wrong.append("data")
    if data["source_type"] == "hf_dataset" and not re.fullmatch(r"[\w.-]+/[\w.-]+", data["hf_repo"]):
        wrong.append("repository")
    uncertainty = result["score_details"].get("uncertainty", {})
    if not isinstance(uncertainty.get("num_samples", 0), int):
        wrong.append("number of samples")
    if interval := uncertainty.get("confidence_interval"):
        wrong += [] if interval["lower"] <= interval["upper"] and interval["confidence_level"] == 0.95 else ["interval"]
    return wrong


def eval_yaml(values):
    """docs/hub/eval-results.md of hub-docs: the required fields of a benchmark that names its own framework."""
    wrong = [name for name in ("name", "description", "evaluation_framework") if not isinstance(values.get(name), str)]
    identifiers = [task["id"] for task in values["tasks"]]
    if not identifiers or len(set(identifiers)) != len(identifiers):
        wrong.append("tasks")
    return wrong + [key for task in values["tasks"] for key in task if key not in ("id", "config", "split")]
