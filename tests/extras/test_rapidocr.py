"""The reader's rule on hand-made lines, its cache, and RapidOCR on a page if it is installed."""

import importlib.util
import random

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.cli import main
from mlcd_eval.protocols.docvqa.lines import Line, find_answer
from mlcd_eval.records import read
from mlcd_eval.support.bundled import demo_data_dir

SPEC = "python:mlcd_eval.extras.rapidocr:reader"
needs_rapidocr = pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="needs rapidocr")


def line(text, left, top, width=None, height=20):
    return Line(text, left, top, left + (width or 9 * len(text)), top + height)


INVOICE = [
    line("ORCHARD LOGISTICS", 40, 40, height=30),
    line("INVOICE", 430, 48),
    line("Invoice No: A-77870", 430, 90),
    line("Due:", 40, 90),
    line("next week", 150, 92),
    line("Item", 43, 210),
    line("Quantity", 296, 210),
    line("Amount", 526, 210),
    line("glass lenses", 43, 243),
    line("26", 314, 242),
    line("2158.00", 526, 243),
    line("ink cartridges", 43, 280),
    line("23", 314, 282),
    line("1817.00", 526, 279),
    line("Total", 405, 455),
    line("12090.00", 526, 455),
    line("We keep 235 boxes in our store and send", 40, 500),
    line("them by March 3, 2021 or 2021-04-05.", 40, 530),
    line("Signature", 300, 560),
    line("T. Okafor", 310, 590),
    line("Ref 123/456", 40, 620),
    line("see http://example.org/a for more", 40, 650),
]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the invoice number?", "A-77870"),  # after the colon; No means number
        ("What is due?", "next week"),  # nothing after the colon: to its right
        ("What is the signature?", "T. Okafor"),  # nothing to its right: below
        ("What is the ref?", "123/456"),  # no colon: after the question's word
        ("What is the quantity of ink cartridges?", "23"),  # where row and column meet
        ("What is the quantity of ink cartriges?", "23"),  # an OCR error
        ("What is the amount of glass lenses?", "2158.00"),
        ("What is the total amount?", "12090.00"),
        ("How many boxes are in the store?", "235"),
        ("By which date will they send them?", "March 3, 2021"),  # on the line below the label's
        ("Which web address is given?", "http://example.org/a"),  # no label: anywhere on the page
        ("What is the title of the page?", "ORCHARD LOGISTICS"),  # larger, and above INVOICE
        ("Who painted it?", ""),
    ],
)
def test_the_rule_on_an_invoice(question, answer):
    assert find_answer(question, INVOICE) == answer


def test_the_order_of_lines_does_not_matter():
    questions = ["What is the invoice number?", "What is the quantity of ink cartridges?", "What is the title?"]
    expected = [find_answer(question, INVOICE) for question in questions]
    for seed in range(5):
        shuffled = random.Random(seed).sample(INVOICE, len(INVOICE))
        assert [find_answer(question, shuffled) for question in questions] == expected


def test_the_colon_of_a_time_or_an_address_does_not_end_a_label():
    assert find_answer("What is the departure?", [line("Departure 10:39", 0, 0)]) == "10:39"
    assert find_answer("What is the mirror?", [line("Mirror http://a.b", 0, 0)]) == "http://a.b"


def test_a_label_with_nothing_near_it_is_its_own_answer():
    assert find_answer("Which bank is it?", [line("Bank", 0, 0)]) == "Bank"


def test_an_empty_page_has_no_answers():
    assert find_answer("What is the title?", []) == find_answer("How many boxes?", [line("  ", 0, 0)]) == ""


@needs_rapidocr
def test_a_page_is_read_once_and_the_prompt_after_the_question_is_ignored():
    from mlcd_eval.extras.rapidocr import RapidOCRReader, reader

    installed = reader()
    assert installed.info.abilities == ("answer",) and len(installed.info.fingerprint) == 64
    first_pixels = []

    class Result:
        boxes = np.array([[[0, 0], [80, 0], [80, 20], [0, 20]]])
        txts = ("Answer: one two three",)

    class Blank:
        boxes = txts = None

    def engine(pixels):
        first_pixels.append(pixels[0, 0].tolist())
        return Result() if pixels.any() else Blank()

    fake = RapidOCRReader(engine, demo_data_dir())
    red, black = Image.new("RGB", (90, 30), "red"), Image.new("RGB", (90, 30))
    questions = ["The answer?", "The colour?\nGive an answer."]
    assert fake.answer([red, red], questions, 2) == ["one two", ""]
    assert fake.answer([black], ["The answer?"]) == [""]
    assert first_pixels == [[0, 0, 255], [0, 0, 0]]  # BGR


@needs_rapidocr
def test_it_reads_the_demo_pages(tmp_path):
    arguments = ["--tasks", "docvqa/demo", "--limit", "6", "--device", "cpu"]
    folders = ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(["run", "--model", SPEC, *arguments, *folders]) == 0
    [record] = (tmp_path / "out").rglob("*.json")
    result = read(record)
    assert result.primary.name == "anls" and result.primary.value > 0.9
    assert result.model.extra["rapidocr"] and result.model.spec == SPEC


def test_the_error_without_the_package_names_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rapidocr", None)
    assert main(["run", "--model", SPEC, "--tasks", "docvqa/demo", "--output", str(tmp_path)]) == 2
    assert "pip install 'mlcd-eval[ocr]'" in capsys.readouterr().err
