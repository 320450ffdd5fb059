"""Numbers that were measured differently never meet: by hand, for all shipped tasks, for random records."""

import csv
import io
import json
from collections import Counter

import pytest
import yaml
from conftest import make_result, metric
from huggingface_hub.repocard_data import model_index_to_eval_results
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import TaskRecord
from mlcd_eval.spec import VARIANT, TaskIndex
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.formats import render
from mlcd_eval.tables.identity import digest, identity
from mlcd_eval.tables.site import entries
from mlcd_eval.tables.summary import summary
from mlcd_eval.tables.variants import variants

RECORD = make_result()
MTEB = {"dialect": "mteb", "metric": "acc1", "exif": True, "class_names": "mteb", "templates": "mteb"}
MTEB_BY_HAND = "exif=true, metric=acc1, class_names=mteb, templates=mteb"


def record(model="a", task="linear_probe/x", value=0.5, name="acc1", data=None, changed=None, version=1, **changes):
    """A record of changed settings, data (fields of its dataset) or anything else."""
    plain = make_result(model, task, [metric(name, value)], **changes)
    spec = plain.task.model_copy(update={"version": version, "settings": {**plain.task.settings, **(changed or {})}})
    return plain.model_copy(update={"task": spec, "dataset": plain.dataset.model_copy(update=data or {})})


def test_what_is_remembered_of_a_record_is_of_that_record_alone():
    """Places in memory are used again: each of many short-lived records has the identity of its own settings."""
    keys = [identity(record(changed={"shots": shots})) for shots in range(1, 200)]
    assert len(set(keys)) == len(keys)
    assert keys == [identity(record(changed={"shots": shots})) for shots in range(1, 200)]
    first = record()
    assert identity(first) == identity(record()) and identity(first) != identity(first.model_copy(update={"limit": 3}))


def test_the_digest_is_what_model_cards_hold():
    """Another length would let no record of today meet its entry in a card of yesterday."""
    assert digest(RECORD) == identity(RECORD)[:12] and len(digest(RECORD)) == 12


def imported(harness="lmms-eval", task="docvqa/docvqa_val", **settings):
    spec = TaskRecord(name=task, version=0, protocol=task.split("/")[0], settings={"harness": harness, **settings})
    return record(f"m@{harness}", task, name="anls", data={"name": "docvqa", "split": "val"}).model_copy(
        update={"task": spec}
    )


def labels(*results):
    named = variants(results)
    return [named.label(result) for result in results]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, ""),
        ({"changed": {"shots": 4}}, "shots=4"),
        ({"changed": {"shots": None, "trials": 5}}, ""),  # the defaults
        ({"changed": {"layer": "projected"}, "limit": 40}, "layer=projected, limit 40"),
        ({"data": {"fingerprint": "unknown"}, "seed": 3}, ""),  # says nothing alone
        ({"task": "zeroshot/x", "data": {"split": "val"}}, "split val"),
        ({"task": "refcoco/x", "changed": {"mode": "native", "text_encoder": None}}, ""),
        ({"task": "refcoco/x", "changed": {"mode": "probe", "text_encoder": "open_clip:a b"}},
         'mode=probe, text_encoder="open_clip:a b"'),
        ({"task": "linear_probe/pets", "changed": {"metric": "mean_per_class_recall"}}, ""),  # as the task has it
        ({"task": "linear_probe/pets", "changed": {"metric": "acc1"}}, "metric=acc1"),
        ({"task": "zeroshot/x", "changed": MTEB}, "dialect=mteb"),
        ({"task": "zeroshot/imagenet", "changed": MTEB}, "dialect=mteb"),
        ({"task": "zeroshot/x", "changed": {**MTEB, "templates": ["{c}"]}}, 'dialect=mteb, templates=["{c}"]'),
        ({"task": "zeroshot/x", "changed": {**MTEB, "dialect": None}}, MTEB_BY_HAND),
        ({"task": "zeroshot/x", "changed": {"dialect": "unknown"}}, "dialect=unknown"),  # of another version
        ({"task": "other/x", "changed": {"anything": 1}}, ""),  # a protocol that is not installed
    ],
)  # fmt: skip
def test_what_is_named_of_a_lone_record(changes, label):
    assert labels(record(**changes)) == [label]


def test_what_is_named_only_beside_others():
    first = record()
    assert labels(first, record(data={"fingerprint": "e" * 64})) == ["data dddddddd", "data eeeeeeee"]
    near = "d" * 63 + "e"
    assert labels(first, record(data={"fingerprint": near})) == [f"data {'d' * 64}", f"data {near}"]
    assert labels(first, record(seed=1)) == ["", "seed 1"]
    assert labels(record(task="knn/x"), record(task="knn/x", seed=1)) == ["", ""]  # draws the intervals only
    assert labels(record(task="linear_probe/pets", version=1), record(task="linear_probe/pets", version=2)) == [
        "", "task version 2",
    ]  # fmt: skip
    assert labels(record(limit=40), record(limit=40, changed={"shots": 4}), first) == [
        "limit 40", "shots=4, limit 40", "",
    ]  # fmt: skip
    ours, theirs = record(task="docvqa/docvqa_val", data={"name": "docvqa", "split": "val"}), imported()
    assert labels(ours, theirs) == ["", "harness=lmms-eval"]
    with_ocr = imported(lmms_eval_specific_kwargs={"ocr": True})
    without = imported(lmms_eval_specific_kwargs={"ocr": False})
    assert labels(with_ocr, without) == ["lmms_eval_specific_kwargs.ocr=true", "lmms_eval_specific_kwargs.ocr=false"]
    assert labels(with_ocr, imported()) == ["lmms_eval_specific_kwargs.ocr=true", "no lmms_eval_specific_kwargs.ocr"]
    long = ["words " * 30, "words " * 30 + "more"]
    assert len(set(labels(*(record(task="docvqa/x", changed={"prompt": text}) for text in long)))) == 2


def test_two_dialects_never_share_a_column():
    """Not even where both have the settings of the other."""
    plain, named = (record(task="zeroshot/x", changed={**MTEB, "dialect": name}) for name in (None, "mteb"))
    assert labels(record(task="zeroshot/x"), plain, named) == [
        "", MTEB_BY_HAND, "dialect=mteb",
    ]  # fmt: skip
    assert len({identity(plain), identity(named), identity(record(task="zeroshot/x"))}) == 3


def test_the_model_is_no_part_of_it():
    other = make_result("b", "linear_probe/x", [metric("acc1", 0.1)])
    other = other.model_copy(update={"model": other.model.model_copy(update={"precision": "bf16"})})
    assert identity(other) == identity(record())


def test_saved_masks_and_a_models_own_on_the_same_annotations_share_it():
    """Only the fingerprint of the latter is over images; where features are encoded, images count."""

    def on(fingerprint, annotations):
        data = RECORD.dataset.model_copy(update={"fingerprint": fingerprint, "annotations": annotations})
        return identity(RECORD.model_copy(update={"dataset": data}))

    assert on("a", "a") == on("images and a", "a")
    assert on("a", "a") != on("b", "b")
    assert on("images and a", None) != on("other images and a", None)


def test_one_model_with_a_full_and_a_few_shot_probe_is_written_in_every_format():
    full, few = record(value=0.75), record(value=0.5, changed={"shots": 4})
    text = render([few, full], "markdown")
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| x")] == ["x", "x [shots=4]"]
    legend = "Square brackets name how numbers differ from the usual ones of their task."
    assert legend in text and legend not in render([full], "markdown")
    assert "x {[}shots=4{]}" in render([few, full], "latex")
    page = render([few, full], "html")
    assert "x [shots=4]" in page and legend in page
    assert [row["variant"] for row in json.loads(render([full, few], "json"))] == ["", "shots=4"]
    (board,) = json.loads(render([full, few], "pwc"))
    assert [data["dataset"] for data in board["datasets"]] == ["x", "x - 4-shot"]
    assert [data["description"] for data in board["datasets"]] == ["n = 200", "n = 200"]
    rows = [[cell.strip() for cell in line.split("|")[2:5]] for line in render([full, few], "pwc-table").splitlines()]
    assert rows[2:] == [["x", "Top 1 Accuracy", "75.0"], ["x - 4-shot", "Top 1 Accuracy", "50.0"]]
    assert "linear_probe/x [shots=4]" in summary([full, few])


def test_the_best_is_the_best_of_its_column():
    results = [record("a", value=0.5), record("b", value=0.9, limit=40), record("c", value=0.4)]
    rows = [line.split("|") for line in render(results, "markdown").splitlines() if line.startswith("| x")]
    assert [[cell.strip() for cell in row[4:-1]] for row in rows] == [
        ["**50.00**", "-", "<u>40.00</u>"],
        ["-", "90.00", "-"],
    ]


def test_published_numbers_stand_beside_usual_records_only():
    full = record(task="linear_probe/food101", value=0.9)
    few = record("b", task="linear_probe/food101", value=0.95, changed={"shots": 4})
    text = render([full, few], "markdown", groups=["linear_probe_vit_l14"])
    part = text.partition("| task ")[2].partition("\n\n")[0]  # too wide, so that models stand one below the other
    lines = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:4]] for line in part.splitlines()}
    assert [cell.strip() for cell in part.split("|")[1:3]] == ["Food101", "Food101 [shots=4]"]
    assert (lines["a"], lines["b"]) == (["90.00", "-"], ["-", "95.00"])
    published = [cells for name, cells in lines.items() if "published" in name]
    assert {cells[1] for cells in published} == {"-"} and any("94.3" in cells[0] for cells in published)


def on(name, task="linear_probe/x", **changes):
    """A record on a data set of this name."""
    return record(task=task, data={"name": name, **changes.pop("data", {})}, **changes)


@pytest.mark.parametrize(
    ("results", "boards"),
    [
        ([on("imagenet1k", "linear_probe/imagenet", changed={"shots": 10})], ["ImageNet - 10-shot"]),
        ([on("flickr30k", "retrieval/flickr30k-cn", changed={"language": "cn"})], ["Flickr30K-CN"]),
        (
            [on("voc2007", data={"kind": "classification"}), on("voc2007_multilabel", data={"kind": "multilabel"})],
            ["PASCAL VOC 2007 (cropped objects)", "PASCAL VOC 2007"],
        ),
        (
            [on("flickr30k", changed={"language": "cn"}), on("Flickr30K-CN")],
            ["Flickr30K-CN (language=cn)", "Flickr30K-CN (no language)"],
        ),
        (
            [on("imagenet1k", "zeroshot/imagenet"), on("imagenet1k", "zeroshot/other")],
            ["ImageNet", "ImageNet (task zeroshot/other)"],
        ),
        ([on("demo", limit=40, changed={"shots": 4})], ["demo - 4-shot (limit 40)"]),
        ([on("demo", "knn/x")], ["demo (kNN)"]),
        ([on("demo", "a_b/x")], ["demo"]),
    ],
)  # fmt: skip
def test_boards_are_named_as_the_site_does_or_by_one_rule(results, boards):
    assert list(dict.fromkeys(entry.dataset for entry in entries(results))) == boards


def usual(task, changed):
    split = task.settings.get("split", "test")
    data = {"name": task.dataset.name, "kind": task.dataset.kind or "classification", "split": split}
    return record("m", task.name, changed={**task.settings, **changed}, data=data, version=task.version)


VARIED = [{}, {"shots": 1}, {"shots": 16}, {"layer": "other"}, {"mode": "probe"}, {"metric": "acc5"}]


def test_no_two_shipped_tasks_or_settings_of_them_share_a_board():
    results = [
        usual(task, changed)
        for task in TaskIndex.load().tasks.values()
        if VARIANT not in task.tags  # whose data another task has under the same name
        for changed in VARIED
        if set(changed) <= set(get_protocol(task.protocol).Settings.model_fields)
    ]
    boards = Counter((entry.tasks, entry.dataset) for entry in entries(results))
    assert len(boards) == len({identity(result) for result in results}) == len(results)
    assert not any("[" in board or "(task" in board for _, board in boards)  # each has a name without the task's


records = st.builds(
    record,
    task=st.sampled_from(["linear_probe/x", "linear_probe/y", "zeroshot/x", "linear_probe/pets", "other/x"]),
    changed=st.dictionaries(
        st.sampled_from(["shots", "layer", "metric", "harness", "language", "nested", "prompt"]),
        st.sampled_from([None, 1, "1", "en", "jp", {"deep": True}, {"deep": {"er": "x"}}, "long " * 20, [1, "a, b=1"]]),
        max_size=3,
    ),
    data=st.fixed_dictionaries(
        {
            "name": st.sampled_from(["x", "voc2007", "flickr30k", "flickr30k_cn"]),
            "split": st.sampled_from(["test", "val", "unknown"]),
            "kind": st.sampled_from(["classification", "multilabel"]),
            "fingerprint": st.sampled_from(["d" * 64, "d" * 63 + "e", "e" * 64, "unknown:lm-eval:x"]),
            "num_samples": st.sampled_from([None, 200, 100]),
            "expected_num_samples": st.sampled_from([None, 200]),
        }
    ),
    version=st.sampled_from([0, 1, 2]),
    limit=st.sampled_from([None, 40, 41]),
    seed=st.sampled_from([0, 1]),
)


pairs = st.lists(records, min_size=2, max_size=3, unique_by=identity)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_two_records_that_differ_share_no_column_and_no_board(results):
    columns = [column.key for board in leaderboards(results) for column in board.columns]
    assert len(columns) == len(set(columns)) == len(results)
    assert len({(entry.tasks, entry.dataset) for entry in entries(results)}) == len(results)
    assert len({line.split("|")[2] for line in summary(results).splitlines()[2:]}) == len(results)


@settings(max_examples=5, deadline=None)
@given(pairs)
def test_two_records_that_differ_share_no_key_in_a_file(results):
    rows = csv.DictReader(io.StringIO(render(results, "csv"), newline=""))
    assert len({(row["task"], row["variant"]) for row in rows}) == len(results)
    _, blocks = model_index_to_eval_results(
        yaml.safe_load(render(results, "model-index", allow_partial=True))["model-index"]
    )
    assert len({block.unique_identifier for block in blocks}) == len(results)
    tables = [
        (table["task"], table["dataset"]) for table in json.loads(render(results, "pwc-submission", allow_partial=True))
    ]
    assert len(tables) == len(set(tables)) == len(results)


@settings(max_examples=20, deadline=None)
@given(records, st.sampled_from(["a", "b"]))
def test_records_that_do_not_differ_meet(result, model):
    other = result.model_copy(update={"model": result.model.model_copy(update={"name": model, "precision": "bf16"})})
    assert identity(other) == identity(result)
    assert len({entry.dataset for entry in entries([result, other])}) == 1
    if model != result.model.name:
        assert [len(board.columns) for board in leaderboards([result, other])] == [1]
