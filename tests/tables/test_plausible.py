"""Records that somebody sent: what contradicts itself is wrong, what the atlas makes doubtful is said."""

import json

import pytest
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.plausible import contradictions, doubts
from mlcd_eval.tables.published import published_numbers

HASH = "0123456789abcdef" * 2


def sound(*metrics, model="tiny", task="zeroshot/demo", **changes):
    result = make_result(model, task, metrics or (metric("acc1", 0.5, (0.4, 0.6)),), **changes)
    return result.model_copy(
        update={
            "model": result.model.model_copy(update={"fingerprint": HASH}),
            "dataset": result.dataset.model_copy(update={"fingerprint": HASH}),
        }
    )


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (
            (metric("acc1", 0.1631, (0.328, 0.4)),),
            "acc1 is 0.1631, expected a value in its own interval [0.3280, 0.4000]",
        ),
        ((metric("acc1", 45.2),), "acc1 is 45.2, expected a fraction"),
        ((metric("acc1", 0.5, n=0),), "acc1 is 0.5000 over 0 samples, expected null"),
    ],
)  # fmt: skip
def test_a_record_that_contradicts_itself(metrics, words):
    assert list(contradictions(sound(*metrics))) == [words]


def test_a_sound_record_has_no_problem_and_a_failed_one_is_none(failed_result):
    assert list(contradictions(sound())) == []
    assert len(list(contradictions(failed_result))) == 1
    bare = make_result("tiny", "zeroshot/demo", (metric("acc1", 0.5),))
    bare = bare.model_copy(update={"model": bare.model.model_copy(update={"fingerprint": "my weights"})})
    assert "model.fingerprint is 'my weights', expected a hash in hex" in list(contradictions(bare))


def test_a_record_without_the_metric_that_it_ranks_by():
    lacking = sound(metric("acc1", None), metric("acc5", 7.0)).model_copy(update={"primary_metric": "map"})
    assert list(contradictions(lacking)) == [
        "primary_metric is 'map', expected one of its metrics",
        "acc5 is 7, expected a fraction",
    ]


def test_a_failed_record_raises_no_doubt_and_another_size_of_the_data_does(failed_result):
    assert list(doubts(failed_result)) == []
    other = sound()
    other = other.model_copy(update={"dataset": other.dataset.model_copy(update={"expected_num_samples": 3669})})
    assert "demo has 200 samples here, the protocol's data has 3,669" in list(doubts(other))


def test_partial_and_old_records_are_to_be_looked_at():
    said = " ".join(doubts(sound(limit=40)))
    assert "over at most 40 images a split" in said and "does not hold the request that made it" in said
    old = sound()
    old = old.model_copy(update={"task": old.task.model_copy(update={"protocol_version": 0})})
    assert any(doubt.startswith("it is of version 0 of the protocol") for doubt in doubts(old))


def of_published(number, value):
    """A record of the task of a published number, measured as that was."""
    interval = (value - 0.001, value + 0.001)
    return sound(metric(number.metric, value, interval, n=10_000), model="mine", task=number.task)


def test_a_number_above_all_published_ones_is_doubtful():
    numbers = [number for number in published_numbers("linear_probe_vit_l14") if number.fraction is not None]
    number = max((n for n in numbers if n.task == "linear_probe/food101"), key=lambda n: n.fraction)
    above = [doubt for doubt in doubts(of_published(number, 0.999)) if "more than the best of" in doubt]
    assert len(above) == 1 and "acc1 is 99.90" in above[0]
    assert not [doubt for doubt in doubts(of_published(number, 0.9)) if "more than the best of" in doubt]


def test_the_command_names_the_file_and_what_is_wrong(tmp_path, capsys):
    store = ResultStore(tmp_path)
    store.write(sound())
    assert main(["validate", str(tmp_path)]) == 0
    assert "1 files, 0 problems" in capsys.readouterr().out
    path = store.path(sound())
    record = json.loads(path.read_text())
    record["metrics"][0]["value"] = 0.9
    path.write_text(json.dumps(record))
    assert main(["validate", str(path)]) == 2
    assert "is damaged or was edited" in capsys.readouterr().out
    del record["checksum"]
    path.write_text(json.dumps(record))
    assert main(["validate", str(path)]) == 2
    out = capsys.readouterr().out
    assert f"{path}: acc1 is 0.9000, expected a value in its own interval" in out and "1 files, 1 problems" in out
