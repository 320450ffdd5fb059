"""`mlcd-eval explain` on a model and data of a user."""

import json

import numpy as np
import pytest
from own_data import MODEL, png, write_wds
from tiny_encoder import TinyEncoder

from mlcd_eval import evaluate
from mlcd_eval.cli import main

NAMES = ("sugar_cone, cone", "RedFox, animal", "chair, seat")
COUNT = 60


def data(folder):
    """60 images of three classes that the encoder tells apart a little better than chance."""
    rng = np.random.default_rng(1)
    labels = [int(label) for label in rng.choice(3, COUNT, p=[0.6, 0.25, 0.15])]
    images = [(png((40 * label + int(rng.integers(200))) % 256), label) for label in labels]
    return write_wds(folder, {"train": images, "test": images}, NAMES)


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """A run in its task's own dialect, on data that is called like one that others published numbers of."""
    folder = tmp_path_factory.mktemp("explain")
    cache = folder / "cache"

    def run(output, **settings):
        (result,) = evaluate(
            MODEL, "zeroshot", datasets=[f"wds:{data_folder}"], output=folder / output, cache=cache, workers=0,
            settings=settings,
        )  # fmt: skip
        return result

    data_folder = data(folder / "dtd")
    run("runs")
    return folder, run


def explain(folder, *words):
    common = ["--cache", str(folder / "cache"), "--trust-remote-code"]
    return main(["explain", str(folder / "runs"), *words, *common])


def explained(capsys, folder, *words):
    """The explanations as JSON."""
    capsys.readouterr()
    assert explain(folder, *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_the_dialect_that_made_a_number_is_found(setting, capsys):
    folder, run = setting
    theirs = {"templates": "imagenet7", "class_names": "words", "metric": "mean_per_class_recall"}
    value = run("other", **theirs).primary.value
    (each,) = explained(capsys, folder, "--value", f"{value:.5f}")
    candidates = [each["nearest"], *each["ties"]]
    assert theirs in [{name: side["settings"][name] for name in theirs} for side in candidates]
    assert {round(side["metric"]["value"], 5) for side in candidates} == {round(value, 5)}
    assert each["idle"] == ["exif"]  # no image has an orientation
    assert each["own"]["names"] == ["the task's own", "clip-benchmark", "one-template"]
    assert each["own"]["settings"] == {
        "templates": "folder", "class_names": "folder", "metric": "acc1", "exif": False,
    }  # fmt: skip
    shares = {share["factor"]: share["points"] for share in each["contributions"]}
    assert sum(shares.values()) == pytest.approx(each["explained"]["value"])
    assert each["explained"]["value"] == pytest.approx(
        each["nearest"]["metric"]["value"] - each["own"]["metric"]["value"]
    )
    assert abs(each["unexplained"]["value"]) <= 5e-6
    low, high = each["unexplained"]["ci95"]
    assert low < 0 < high


def test_shares_are_those_of_the_runs_between(setting, capsys):
    """Two factors: half of what each adds alone, and half of what it adds to the other."""
    folder, run = setting
    names, metric = {"class_names": "words"}, {"metric": "mean_per_class_recall"}
    none = run("runs").primary.value
    a, b, both = (run("other", **settings).primary.value for settings in (names, metric, names | metric))
    (each,) = explained(capsys, folder, "--value", f"{both:.6f}")
    assert {share["factor"] for share in each["contributions"]} == {"class_names", "metric"}
    assert both not in (none, a, b)
    expected = {"class_names": (a - none + both - b) / 2, "metric": (b - none + both - a) / 2}
    assert {share["factor"]: share["points"] for share in each["contributions"]} == pytest.approx(expected)
    assert each["explained"]["ci95"] is None  # the metrics are not the same


def test_no_image_is_encoded_twice_and_no_text(setting, capsys, monkeypatch):
    folder, _ = setting
    texts = []
    encode_texts = TinyEncoder.encode_texts
    monkeypatch.setattr(TinyEncoder, "encode_texts", lambda self, part: texts.extend(part) or encode_texts(self, part))
    fresh = folder / "fresh"
    capsys.readouterr()
    words = ["--value", "0.4", "--cache", str(fresh), "--trust-remote-code"]
    TinyEncoder.images_seen = 0
    assert main(["explain", str(folder / "runs"), *words]) == 0
    assert TinyEncoder.images_seen == COUNT  # upright they are as they are
    said = capsys.readouterr().err
    assert f"dtd/test: no features of images are kept at projected, so that {COUNT} images are encoded" in said
    assert f"dtd/test: EXIF turns 0 of {COUNT} images, which are encoded; the features of the others are kept" in said
    once = [text for text in texts if any(name in text for name in ("cone", "animal", "seat", "Fox", "chair"))]
    assert len(once) == len(set(once)) == (1 + 8 + 7 + 1 + 1 + 1) * (3 + 3)  # templates, names as they are and as words
    texts.clear()
    assert main(["explain", str(folder / "runs"), *words]) == 0
    assert TinyEncoder.images_seen == COUNT
    assert len(texts) < 10


def test_what_a_source_states_is_not_searched(setting, capsys):
    folder, _ = setting
    each = explained(capsys, folder, "--published", "mteb:ViT-B-32/openai")[0]
    assert each["nearest"]["settings"] == {"templates": "mteb", "class_names": "folder", "metric": "acc1", "exif": True}
    assert each["nearest"]["names"] == ["mteb"]
    assert each["published"]["stated"]["prompts"] == "a photo of {c} texture."
    assert each["tried"] == 1 < each["possible"]
    assert each["differing"] == [{"factor": "class_names", "theirs": "MTEB's", "ours": "folder"}]
    searched = explained(capsys, folder, "--published", "mteb:ViT-B-32/openai", "--search")[0]
    assert searched["tried"] == searched["possible"] == each["possible"]
    gaps = [abs(one["unexplained"]["value"]) for one in (searched, each)]
    assert gaps[0] <= gaps[1]


def test_every_number_of_a_row_is_explained(setting, capsys):
    folder, _ = setting
    groups = [each["published"]["group"] for each in explained(capsys, folder, "--published", "ViT-B-32/openai")]
    assert {"open_clip/zeroshot", "mteb/zeroshot"} <= set(groups)
    assert explain(folder, "--published", "open_clip:ViT-B-32/openai") == 0
    text = capsys.readouterr().out
    assert "| published | acc1   | ViT-B-32, openai (open_clip) in open_clip/zeroshot" in text
    assert "Stated: prompts=clip-benchmark:dtd, num_prompts=8" in text
    assert "Known to differ: " in text and "Contributions" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--published", "ViT-B-33/openai"], "--published: got 'ViT-B-33/openai', expected a model of"),
        (
            ["--published", "MLCD ViT-bigG-14-448"],
            "has no number of zeroshot/dtd, expected a record of one of its tasks",
        ),
        (["--published", "open_clip:*"], "models with numbers of zeroshot/dtd, expected one of"),
        (
            ["--published", "mteb:ViT-B-32/openai", "--metric", "mean_per_class_recall"],
            "recall of zeroshot/dtd, expected --metric",
        ),
        (["--value", "0.5", "--task", "zeroshot/dtdd"], "--task: got 'zeroshot/dtdd', expected a task of"),
        (["--value", "0.5", "--metric", "acc2"], "expected one that the record of zeroshot/dtd has: acc1"),
        (["--value", "much"], "--value: got 'much', expected a fraction"),
        (["--value", "0.5", "--model", "python:tiny_encoder:vision_only"], "needs a text tower"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_encoded(setting, capsys, words, message):
    folder, _ = setting
    TinyEncoder.images_seen = 0
    capsys.readouterr()
    assert explain(folder, *words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("loading ")]
    assert message in line
    assert TinyEncoder.images_seen == 0


def edited(folder, tmp_path, edit):
    """A copy of the record, changed on purpose."""
    (path,) = (folder / "runs").glob("*/*.json")
    record = json.loads(path.read_text())
    edit(record)
    record.pop("checksum")
    (tmp_path / "record.json").write_text(json.dumps(record))
    return str(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda record: record.update(request=None), "does not hold the request that made it"),
        (lambda record: record["model"].update(fingerprint="f" * 64), "expected it to be run again: model"),
        (lambda record: record["task"].update(protocol="docvqa"), "is of the protocol docvqa, for which no source"),
        (lambda record: record["model"].update(spec="object:ViT"), "was in memory (object:ViT), expected"),
    ],
)
def test_records_that_cannot_be_measured_again_are_named(setting, tmp_path, capsys, edit, message):
    folder, _ = setting
    record = edited(folder, tmp_path, edit)
    capsys.readouterr()
    words = ["--value", "0.5", "--cache", str(folder / "cache"), "--trust-remote-code"]
    assert main(["explain", record, *words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mlcd-eval: error")]
    assert message in line


def test_code_that_a_record_names_runs_only_if_allowed(setting, capsys):
    folder, _ = setting
    capsys.readouterr()
    assert main(["explain", str(folder / "runs"), "--value", "0.5"]) == 2
    assert "expected --trust-remote-code to allow that" in capsys.readouterr().err
