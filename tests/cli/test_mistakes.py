"""Plausible mistakes of a new user: one sentence each, which says what to write, exit code 2, and nothing is loaded."""

import re
import shlex

import pytest
from tiny_encoder import TinyEncoder

from mlcd_eval.cli import main

ON = "--tasks knn/demo_clipart"
MODEL = "--model python:tiny_encoder:make"
RUN = f"run {MODEL} --tasks knn/demo_clipart"

MISTAKES = {
    # words of other programs
    "eval --model x --tasks y": r"invalid choice: 'eval' .*\(did you mean 'run'\?\)",
    "list models": r"did you mean 'ls'",
    "report out": r"did you mean 'table'",
    "rn --model x": r"did you mean 'run'",
    "ls model": r"did you mean 'models'",
    "": r"the following arguments are required: COMMAND",
    # unknown flags before missing ones
    "run --modle x": r"unrecognized arguments: --modle x \(did you mean '--model'\?\)",
    "run --tasks knn --batch_size 3": r"unrecognized arguments: --batch_size 3 \(did you mean '--batch-size'\?\)",
    f"{RUN} --output-dir out": r"did you mean '--output'",
    f"{RUN} --num_workers 4": r"did you mean '--workers'",
    f"{RUN} --gpu 0": r"did you mean '--device cuda'",
    f"{RUN} --force": r"did you mean '--no-resume'",
    "score --nmae x": r"unrecognized arguments: --nmae .*did you mean '--name'",
    "submit --two x": r"unrecognized arguments: --two",
    # missing flags
    "run": r"the following arguments are required: --model, --tasks \(here or by --config\)",
    "run --model x": r"the following arguments are required: --tasks \(",
    "score": r"the following arguments are required: PREDICTIONS",
    # separators
    f"run {MODEL} --tasks knn zeroshot": r"unrecognized arguments: zeroshot \(tasks are separated by commas",
    f"run --model hf:a/b hf:c/d {ON}": r"unrecognized arguments: hf:c/d \(--model takes one value: repeat it",
    "run open_clip:ViT-B-32/openai knn": r"unrecognized arguments: .*expected --model SPEC --tasks A,B",
    f"run --model hf:a/b,timm:c {ON}": r"several models in 'hf:a/b,timm:c', expected --model hf:a/b --m",
    f"run --model ViT-B-32,ViT-L-14 {ON}": r"expected --model ViT-B-32 --model ViT-L-14",
    # spellings of models
    f"run --model openai/clip-vit-base-patch32 {ON}": r"a spec such as hf:openai/clip-vit-base-patch32 \(",
    f"run --model ViT-B-32 {ON}": r"a spec such as open_clip:ViT-B-32/TAG \(",
    f"run --model vit-b-32/openai {ON}": r"a spec such as open_clip:ViT-B-32/openai \(",
    f"run --model ViT-B/32 {ON}": r"a spec such as open_clip:ViT-B-32/openai \(",
    f"run --model resnet50.a1_in1k {ON}": r"a spec such as timm:resnet50.a1_in1k \(",
    f"run --model runs/last.pt {ON}": r"such as open_clip:ARCHITECTURE/runs/last.pt or timm:NAME\?checkpoint=",
    f"run --model huggingface:a/b {ON}": r"did you mean 'hf:a/b'",
    f"run --model https://huggingface.co/a/b {ON}": r"did you mean 'hf:a/b'",
    f"run --model open_clip:ViT-B-23/openai {ON}": r"no architecture 'ViT-B-23'.*did you mean 'ViT-B-32'",
    f"run --model 'my model=hf:a/b' {ON}": r"a model's name is 'my model', expected letters",
    # spellings of tasks and data
    f"run {MODEL} --tasks zero-shot": r"did you mean 'zeroshot'",
    f"run {MODEL} --tasks imagenet": r"did you mean .*'zeroshot/imagenet'",
    f"run {MODEL} --tasks linear-probe": r"did you mean 'linear_probe'",
    f"run {MODEL} --tasks knn/mnits": r"did you mean 'knn/mnist'",
    f"run {MODEL} --tasks knn --dataset photos": r"dataset 'photos' has no scheme: expected one of wds:",
    f"run {MODEL} --tasks knn --dataset image_folder:x": r"did you mean 'imagefolder'",
    # values
    f"{RUN} --device gpu": r"invalid choice: 'gpu' .*did you mean 'cuda'",
    f"{RUN} --precision float16": r"did you mean 'fp16'",
    f"{RUN} --limit 1e3": r"argument --limit: got '1e3', expected an integer of at least 1",
    f"{RUN} --set k": r"--set got 'k', expected KEY=VALUE such as mode=zeroshot",
    f"{RUN} --set kss=3": r"--set kss: no chosen task has that setting, .*did you mean 'ks'",
    "table --format md out": r"invalid choice: 'md' .*did you mean 'markdown'",
}


@pytest.mark.parametrize("line", MISTAKES, ids=str)
def test_a_mistake_is_one_sentence(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TinyEncoder.images_seen = 0
    try:
        code = main(shlex.split(line))
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert re.search(MISTAKES[line], error), error
    assert error.count("\n") == 1 and "Traceback" not in error
    assert TinyEncoder.images_seen == 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("table", "{path}"),
        ("validate", "{path}"),
        ("plan", "--model", "{path}", "--tasks", "demo"),
        ("plan", "--model", "timm:vit_tiny_patch16_224", "--tasks", "zeroshot", "--dataset", "wds:{path}"),
        ("plan", "--model", "timm:vit_tiny_patch16_224", "--tasks", "demo", "--data-root", "{path}"),
        ("run", "--model", "python:tiny_encoder:make", "--tasks", "knn/demo_clipart", "--output", "{path}"),
    ],
)
def test_a_name_that_no_file_can_have_is_told_in_a_sentence(words, tmp_path, capsys):
    path = tmp_path / ("a" * 300)
    assert main([word.format(path=path) for word in words]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("mlcd-eval: error: ") and str(path) in line


def test_links_that_lead_to_each_other_are_told_in_a_sentence(tmp_path, capsys):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert main(["run", "--model", str(tmp_path / "a"), "--tasks", "demo"]) == 2
    assert str(tmp_path / "a") in capsys.readouterr().err.splitlines()[-1]


WRONG_FLAGS = [
    ["--precision", "fp23", "did you mean 'fp32'"],
    ["--device", "gpu", "choose from"],
    ["--batch-size", "0", "expected an integer of at least 1"],
    ["--limit", "ten", "expected an integer of at least 1"],
    ["--modle", "x", "did you mean '--model'"],
]


@pytest.mark.parametrize(("flag", "value", "message"), WRONG_FLAGS)
def test_a_wrong_flag_is_one_sentence_and_exit_code_2(capsys, flag, value, message):
    with pytest.raises(SystemExit) as caught:
        main(["run", "--model", "x", "--tasks", "demo", flag, value])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
