"""Several label heads: draws of their own, whole runs, and what is refused."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.progress import Progress
from mlcd_train.objectives.base import ObjectiveInputs
from mlcd_train.runlog import read_log
from mlcd_train.stages import TrainingRun

SETS = "assign={heads: {image: {labels: 3}, words: {labels: words}}}"
BOTH = "fit.objective={name: heads, heads: {image: {objective: mlcd}, words: {objective: superclass, weight: 0.5}}}"


def plain_heads(*names):
    return f"fit.objective={{name: heads, heads: {{{', '.join(f'{name}: {{}}' for name in names)}}}}}"


def test_heads_draw_on_their_own(make_config):
    """Two heads with as many classes have other negatives and other rows at the start."""
    from tiny_objectives import model

    from mlcd_train.dry_step import SpreadLabels

    config = make_config("cluster.k=100", "assign={heads: {a: {labels: 3}, b: {labels: 3}}}", plain_heads("a", "b"))
    inputs = ObjectiveInputs(model(), 5, lambda name: SpreadLabels(config, name), None)
    a, b = config.fit.objective.build(inputs).centres().values()
    labels = torch.zeros(1, 1, dtype=torch.int64)
    assert not torch.equal(a.weight, b.weight)
    assert a.choose(labels, 0).classes.tolist() != b.choose(labels, 0).classes.tolist()


def test_a_run_and_one_that_was_stopped(make_config):
    """The same losses and rows, bit for bit, from the state of step 2 on; with another vocabulary it does not go on."""
    config = make_config(SETS, BOTH)
    run = TrainingRun(config, torch.device("cpu"), Progress())
    run.run()
    log = read_log(config.output / "fit" / "log.jsonl")
    assert all(line["loss"] == pytest.approx(line["image/loss"] + 0.5 * line["words/loss"], rel=1e-6) for line in log)
    assert log[-1]["words/loss"] < log[0]["words/loss"]
    state = config.output / "fit" / "state"
    last = sorted((state / "step_0000004").glob("centres_*"))
    assert [path.name for path in last] == [f"centres_{name}_0000000000.safetensors" for name in ("image", "words")]
    kept = [load_file(path) for path in last]
    (config.output / "fit" / "done.json").unlink()
    shutil.rmtree(state / "step_0000004")
    run.run(["fit"])
    again = read_log(config.output / "fit" / "log.jsonl")
    assert [line["loss"] for line in again] == [line["loss"] for line in log]
    for path, before in zip(last, kept, strict=True):
        after = load_file(path)
        assert all(torch.equal(after[name], before[name]) for name in before)
    (config.output / "fit" / "done.json").unlink()
    about = config.output / "assign" / "words" / "labels.json"
    labels = run._read_labels("words").info.centres
    about.write_text(about.read_text().replace(labels, "f" * 64))
    with pytest.raises(CheckpointError, match=r"the classes of centres_words are of another vocabulary"):
        run.run(["fit"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ((SETS,), r"for each set of labels in assign.heads, got objectives of labels and labels of image, words$"),
        ((BOTH,), r"for each set of labels in assign.heads, got objectives of image, words and labels of labels$"),
        ((SETS, plain_heads("image")), r"got objectives of image and labels of image, words$"),
        ((SETS, BOTH, "fit.objective.heads.words.weight=0"), r"heads.words.weight' is 0, expected greater than 0$"),
        ((SETS, "fit.objective={name: heads, heads: {}}"), r"fit.objective.heads' is {}, expected at least 1"),
        ((SETS, BOTH, "assign.labels=3"), r"no labels beside heads, each of which has its own"),
        ((SETS, BOTH, "assign.heads.image.labels=12"), r"assign.heads.image.labels less than cluster.k = 12, got 12"),
        ((SETS, BOTH, "fit.objective.heads.image.objective=cluster"), r"heads.image.labels: 1 with .* cluster, got 3"),
        (
            ("assign={heads: {a: {labels: words}}}", plain_heads("a")),
            r"no section embed with assign.labels words",
        ),
    ],
)
def test_mistakes_are_one_sentence(make_config, changes, sentence):
    with pytest.raises(ConfigError, match=sentence) as error:
        make_config(*changes)
    assert "\n" not in str(error.value)
