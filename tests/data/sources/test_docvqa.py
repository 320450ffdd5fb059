"""DocVQA's files: both versions, where images may be, which file a task means, and what is wrong with one."""

import json

import pytest
from PIL import Image

from mlcd_eval.cli import main
from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import find_dataset, with_root
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec

ITEM = {
    "questionId": 7,
    "question": "Who?",
    "image": "documents/abcd0001_2.png",
    "docId": 3,
    "ucsf_document_id": "abcd0001",
    "ucsf_document_page_no": "2",
    "answers": ["Anna", "anna"],
    "data_split": "val",
}
OTHER = {"questionId": 8, "question": "When?", "question_types": ["form"]}


def write(file, *changes, split="val"):
    """Annotations with an item for each change of ITEM."""
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {"dataset_name": "SP-DocVQA", "dataset_version": "1.0", "dataset_split": split}
    file.write_text(json.dumps({**head, "data": [{**ITEM, **change} for change in changes or ({},)]}))
    return file


def put_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 6)).save(path)
    return path


def images(ref):
    return [sample.image for shard in open_dataset(ref).split("val").shards for sample in shard.samples()]


def test_questions_with_and_without_types(tmp_path):
    put_image(tmp_path / "documents" / "abcd0001_2.png")
    dataset = open_dataset(f"docvqa:{write(tmp_path / 'val_v1.0_withQT.json', {}, OTHER)}")
    assert (dataset.kind, dataset.splits, dataset.name) == ("docvqa", ("rendered", "val"), f"{tmp_path.name}_val")
    first, second = dataset.annotations("val")
    assert (first.question_id, first.text, first.answers, first.types) == (7, "Who?", ("Anna", "anna"), ())
    assert (second.question_id, second.types) == (8, ("form",))
    assert first.image == second.image == "documents/abcd0001_2.png" and first.document == "abcd0001"
    assert dataset.split("val").scan().num_samples == 1  # a page counts once


def test_infographicvqa_says_it_otherwise(tmp_path):
    change = {"image": "", "image_local_name": "30095.jpeg", "answer_type": ["multi-span"]}
    path = put_image(tmp_path / "infographicsvqa_images" / "30095.jpeg")
    ref = f"docvqa:{write(tmp_path / 'infographicsvqa_qas' / 'infographicsVQA_val_v1.0_withQT.json', change)}"
    assert [one.types for one in open_dataset(ref).annotations("val")] == [("multi-span",)]
    assert [one.resolve() for one in images(ref)] == [path.resolve()]


@pytest.mark.parametrize("answers", [None, []])
def test_answers_that_are_not_there(tmp_path, answers):
    dataset = open_dataset(f"docvqa:{write(tmp_path / 'test_v1.0.json', {'answers': answers}, split='test')}")
    assert dataset.annotations("test")[0].answers is None


@pytest.mark.parametrize(
    ("annotations", "image"),
    [
        ("val_v1.0.json", "documents/abcd0001_2.png"),
        ("val_v1.0.json", "abcd0001_2.png"),
        ("val_v1.0.json", "images/documents/abcd0001_2.png"),
        ("spdocvqa_qas/val_v1.0.json", "spdocvqa_images/abcd0001_2.png"),
    ],
)
def test_images_in_the_files_folder_or_beside_it(tmp_path, annotations, image):
    path = put_image(tmp_path / image)
    assert [one.resolve() for one in images(f"docvqa:{write(tmp_path / annotations)}")] == [path.resolve()]


def test_images_under_the_data_root(tmp_path):
    file, path = write(tmp_path / "a" / "val_v1.0.json"), put_image(tmp_path / "b & c" / "documents" / "abcd0001_2.png")
    ref = f"docvqa:{file}"
    message = "the image 'documents/abcd0001_2.png' of a_val is missing: expected it in .*--data-root"
    with pytest.raises(DataError, match=message):
        images(ref)
    assert images(with_root(ref, path.parent.parent)) == [path]


def test_saved_answers_need_no_images(tmp_path, capsys):
    file = write(tmp_path / "a" / "val_v1.0.json")
    (tmp_path / "answers.json").write_text('[{"questionId": 7, "answer": "Anna"}]')
    words = ["score", "--dataset", f"docvqa:{file}", str(tmp_path / "answers.json"), "--output", str(tmp_path / "out")]
    assert main(words) == 0
    assert "100.00" in capsys.readouterr().out


def find(root, name, split="val"):
    return find_dataset(root, DatasetSpec(name=name, kind="docvqa"), split)


def test_a_task_means_its_own_file(tmp_path):
    docvqa, infovqa = write(tmp_path / "val_v1.0_withQT.json"), write(tmp_path / "infographicsVQA_val_v1.0_withQT.json")
    write(tmp_path / "val_v1.0.json")
    assert find(tmp_path, "docvqa") == f"docvqa:{docvqa}"
    assert find(tmp_path, "infovqa") == f"docvqa:{infovqa}"
    assert find(tmp_path, "textvqa") is None and find(tmp_path, "docdemo") is None
    assert find(tmp_path, "docvqa", "test") is None
    own = write(tmp_path / "docvqa" / "my_val_v1.0.json")
    assert find(tmp_path, "docvqa") == f"docvqa:{own}"
    handed_out = write(tmp_path / "x" / "spdocvqa_qas" / "val_v1.0.json")
    assert find(tmp_path / "x", "docvqa") == f"docvqa:{handed_out}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", r"val\.json cannot be read as JSON: "),
        ("[]", r"val\.json is not DocVQA's annotations: the whole file: "),
        ('{"dataset_split": "val", "data": [{"question": "a"}]}', r"annotations: data\.0\.questionId: Field required"),
        (
            json.dumps({"dataset_split": "val", "data": [ITEM, ITEM]}),
            r"the questionId 7 occurs twice, expected each once",
        ),
        (
            json.dumps({"dataset_split": "val", "data": [{**ITEM, "image": "../x.png"}]}),
            r"names the image '\.\./x\.png'",
        ),
        (json.dumps({"dataset_split": "val", "data": [{**ITEM, "image": "/x.png"}]}), r"names the image '/x\.png'"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, text, told):
    (tmp_path / "val.json").write_text(text)
    with pytest.raises(DataError, match=told):
        open_dataset(f"docvqa:{tmp_path}/val.json").split("val")


def test_a_file_or_split_that_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"x\.json is missing, expected DocVQA's annotations such as val_v1"):
        open_dataset(f"docvqa:{tmp_path}/x.json")
    with pytest.raises(DataError, match=r"has no split 'test': .*val_v1\.0\.json holds val$"):
        open_dataset(f"docvqa:{write(tmp_path / 'val_v1.0.json')}").annotations("test")
