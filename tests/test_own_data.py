"""Runs on a user's own data, from the command line and from Python."""

import os
import re
from pathlib import Path

import pytest
from own_data import MODEL, flags, items, png, write_wds
from PIL import Image
from tiny_encoder import TinyEncoder

from mlcd_eval import evaluate
from mlcd_eval.cli import main
from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.records import read
from mlcd_eval.tables.formats import FORMATS, render


def test_a_dangling_link_of_an_imagefolder_is_a_bad_image(tmp_path, capsys):
    for number, (image, label) in enumerate(items(30)):
        path = tmp_path / "mine" / ("test" if number < 10 else "train") / f"c{label}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    link = tmp_path / "mine" / "test" / "c0" / "link.png"
    link.symlink_to(tmp_path / "gone.png")
    more = ["--dataset", f"imagefolder:{tmp_path / 'mine'}"]
    TinyEncoder.images_seen = 0
    assert main(flags(tmp_path, *more, tasks="knn")) == 2
    message = "got 1 images that are broken links, expected at most 0 (--allow-bad-images): c0/link.png"
    assert message in capsys.readouterr().err
    assert TinyEncoder.images_seen == 0
    assert main(flags(tmp_path, *more, "--allow-bad-images", "1", tasks="knn")) == 0
    record = read(tmp_path / "out" / "tiny_encoder_make" / "knn__mine.json")
    assert (record.primary.num_scored, record.primary.num_unscored) == (10, 1)
    (tmp_path / "gone.png").write_bytes(png(3))  # the link works again, so that the data has changed
    assert main(flags(tmp_path, *more, tasks="knn")) == 0
    assert read(tmp_path / "out" / "tiny_encoder_make" / "knn__mine.json").primary.num_scored == 11


def test_offline_a_task_file_reads_its_local_ref(tmp_path, capsys):
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)})
    task = tmp_path / "mine.yaml"
    text = "name: knn/own\nversion: 1\nprotocol: knn\ndataset: {name: own%s}\n"
    task.write_text(text % f", ref: 'wds:{data}'")
    assert main(flags(tmp_path, "--offline", tasks=str(task))) == 0
    for ref, message in (
        (", ref: 'wds:https://x/y'", "--offline forbids its copy at wds:https://x/y"),
        (", ref: 'hf:org/name'", "--offline forbids its copy at hf:org/name"),
        ("", "no hub copy: put a folder in clip-benchmark's layout under --data-root, or give `ref: KIND:PATH`"),
    ):
        task.write_text(text % ref)
        assert main(flags(tmp_path, "--offline", tasks=str(task))) == 2
        assert message in capsys.readouterr().err


def test_other_prompts_make_another_request(tmp_path, capsys):
    data = write_wds(tmp_path / "wds_mine", {"test": items(10)})
    run = flags(tmp_path, "--dataset", f"wds:{data}", tasks="zeroshot")
    for template, kept in (("a {c}", 0), ("a {c}", 1), ("no {c}", 0)):
        (data / "zeroshot_classification_templates.txt").write_text(template)
        assert main(run) == 0
        assert capsys.readouterr().err.count("kept the record") == kept


def test_the_python_entry_point_checks_its_options(tmp_path):
    with pytest.raises(ConfigError, match=r"precision"):
        evaluate(MODEL, "demo", precision="fp23", output=tmp_path)
    with pytest.raises(TypeError, match="batchsize"):
        evaluate(MODEL, "demo", batchsize=3, output=tmp_path)


def test_the_python_entry_point_accepts_the_same_as_the_command_line(tmp_path):
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)})
    common = {"output": tmp_path / "out", "cache": tmp_path / "cache", "workers": "auto", "batch_size": "auto"}
    (result,) = evaluate(MODEL, "knn", datasets=f"wds:{data}", **common)
    assert (result.task.name, result.status) == ("knn/mine", "ok")
    task = tmp_path / "mine.yaml"
    task.write_text(f"name: knn/own\nversion: 1\nprotocol: knn\ndataset: {{name: own, ref: 'wds:{data}'}}\n")
    (result,) = evaluate([MODEL], task, **common)
    assert result.status == "ok"
    with pytest.raises(CheckpointError, match=r"config\.json"):  # a folder's path is a spec
        evaluate(tmp_path, "knn", datasets=f"wds:{data}", **common)


def test_a_class_without_a_name_refuses_zeroshot_only(tmp_path, capsys):
    data = write_wds(tmp_path / "wds_mine", {"train": items(20), "test": items(10)}, names=("x",))
    assert main(flags(tmp_path, "--dataset", f"wds:{data}", tasks="knn")) == 0
    note = "note: split 'test' of mine has labels up to 1 and 1 class names, expected 2; only zero-shot needs them"
    assert note in capsys.readouterr().err
    TinyEncoder.images_seen = 0
    assert main(flags(tmp_path, "--dataset", f"wds:{data}", tasks="zeroshot")) == 2
    message = "zeroshot/mine needs a name for each class: split 'test' of mine has labels up to 1 and 1 class names"
    assert message in capsys.readouterr().err
    assert TinyEncoder.images_seen == 0


def test_wordnet_ids_that_imagenet_does_not_have_are_warned_of(tmp_path):
    for number, (image, label) in enumerate(items(6)):
        path = tmp_path / "mine" / "test" / ("n01440764", "n09999999")[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    (tmp_path / "mine" / "zeroshot_classification_templates.txt").write_text("a {c}")
    with pytest.warns(UserWarning, match=r"got 1 numbers or WordNet ids, first 'n09999999'; expected words"):
        evaluate(MODEL, "zeroshot", datasets=f"imagefolder:{tmp_path / 'mine'}", output=tmp_path, cache=tmp_path)


def test_other_templates_and_class_names_by_flags_stay_apart_in_every_output(tmp_path, capsys):
    data = write_wds(tmp_path / "wds_mine", {"test": items(10)})
    (tmp_path / "names.txt").write_text("left\nright\n")
    runs = {"own": [], "text": ["--templates", "no {c}"], "names": ["--classnames", str(tmp_path / "names.txt")]}
    results = []
    for name, more in runs.items():
        run = flags(tmp_path / name, "--dataset", f"wds:{data}", *more, tasks="zeroshot")
        assert main(run) == 0
        results.append(read(tmp_path / name / "out" / "tiny_encoder_make" / "zeroshot__mine.json"))
    assert [result.task.settings["templates"] for result in results] == [None, ["no {c}"], None]
    assert [result.task.settings["class_names"] for result in results] == [None, None, ["left", "right"]]
    for form in ("markdown", "latex", "html", "pwc", "pwc-table", "csv", "model-index"):
        text = render(results, form)
        assert "templates=" in text and "class_names=" in text.replace("\\_", "_"), form
    (tmp_path / "names.txt").write_text("left\n")
    capsys.readouterr()
    assert main([*run[:-2], "--classnames", str(tmp_path / "names.txt")]) == 2
    assert (
        "zeroshot/mine needs a name for each class: split 'test' of mine has labels up to 1" in capsys.readouterr().err
    )


def write_csv(tmp_path, target="label"):
    rows = [f"path,{target},split"]
    for number, (image, label) in enumerate(items(30)):
        (tmp_path / f"{number:02d}.png").write_bytes(image)
        rows.append(f"{number:02d}.png,{'night' if label else 'day'},{'test' if number < 10 else 'train'}")
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    return tmp_path / "mine.csv"


@pytest.mark.parametrize(
    ("task", "target", "more"),
    [("knn", "label", {}), ("retrieval", "caption", {}), ("zeroshot", "label", {"settings": {"templates": ["a {c}"]}})],
)
def test_a_csv_file_is_scored(tmp_path, task, target, more):
    file = write_csv(tmp_path, target)
    (result,) = evaluate(MODEL, task, datasets=f"csv:{file}", output=tmp_path / "out", cache=tmp_path / "cache", **more)
    assert (result.status, result.dataset.num_samples) == ("ok", 10)
    assert result.dataset.num_classes == (2 if target == "label" else None)


def test_a_file_that_is_no_image_is_named(tmp_path, capsys):
    file = write_csv(tmp_path)
    (tmp_path / "03.png").write_text("no image")
    assert main(flags(tmp_path, "--dataset", f"csv:{file}", tasks="knn")) == 2
    assert "image '03.png'" in (err := capsys.readouterr().err) and "cannot be decoded: got a file of no known" in err
    assert main(flags(tmp_path, "--dataset", f"csv:{file}", "--allow-bad-images", "1", tasks="knn")) == 0
    assert "knn/mine [not scored 1]" in capsys.readouterr().out


def test_names_that_are_not_utf8_survive_a_run_every_table_and_a_comparison(tmp_path, capsys):
    data, output = (str(tmp_path / os.fsdecode(name)) for name in (b"data", b"out\xff"))
    for split in ("train", "test"):
        for number, name in enumerate((b"cat\xff", b"dog", b"cat\xff", b"dog")):
            path = Path(data, split, os.fsdecode(name), os.fsdecode(b"\xfe%d.png" % number))
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (60 * number, 9, 200)).save(path)
    Path(data, "zeroshot_classification_templates.txt").write_text("a {c}")
    tasks = "zeroshot,linear_probe,clustering,instance_retrieval"
    for model in ("first", "second"):
        named = f"{model}=python:tiny_encoder:make"
        request = ["--model", named, "--tasks", tasks, "--dataset", f"imagefolder:{data}", "--output", output]
        assert main(["run", *request, "--cache", str(tmp_path / "cache"), "--workers", "0", "--log-samples"]) == 0
    first, second = (os.path.join(output, model) for model in ("first", "second"))  # noqa: PTH118 as a shell gives them
    for form in FORMATS:
        records = first if FORMATS[form].one_model else output
        assert main(["table", records, "--format", form, "--output", str(tmp_path / f"table.{form}")]) == 0
        assert (tmp_path / f"table.{form}").read_text(encoding="utf-8")
    assert main(["compare", first, second, "--html", str(tmp_path / "two.html"), "--examples", "1"]) == 0
    capsys.readouterr()
    assert main(["compare", first, second]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"wins 0, ties [1-4], losses 0", shown), shown  # the same model twice
    assert main(["serve", output, "--export", str(tmp_path / "site")]) == 0
