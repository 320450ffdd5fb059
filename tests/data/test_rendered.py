"""Rendered pages: what is asked is what is drawn, and both change only with the version."""

import io

import pytest
from PIL import Image, ImageDraw

from mlcd_eval.data import rendered
from mlcd_eval.data.rendered import VERSION, pages, questions, split

FIRST = [
    ("date", "October 24, 2017"),
    ("phone number", "282-2484"),
    ("name of the customer", "Eva Lund"),
    ("page number", "33"),
    ("invoice number", "A-96049"),
    ("quantity of cables", "67"),
]
LAST = [
    ("invoice number", "A-36563"),
    ("page number", "5"),
    ("date", "April 25, 2002"),
    ("price of screens", "144.29"),
    ("quantity of screens", "39"),
    ("phone number", "626-6991"),
]


def test_six_questions_for_each_of_400_pages():
    asked = questions()
    assert len(asked) == 2400 and len({question.question_id for question in asked}) == 2400
    for page, fields in ((0, FIRST), (399, LAST)):
        name = f"rendered_{page:04d}"
        of_page = [question for question in asked if question.image == name]
        assert [(question.text, question.answers) for question in of_page] == [
            (f"What is the {key}?", (value,)) for key, value in fields
        ]
        assert {question.document for question in of_page} == {name}
    assert [question.question_id for question in asked[:2]] == ["rendered_0", "rendered_1"]


def test_the_pages_of_a_version_stay_what_they_are(monkeypatch):
    """Else their features are kept under the old version. Each line below the one before, by its font and a gap."""
    drawn, draw = [], ImageDraw.ImageDraw.text

    def noted(self, place, text, fill, font):
        drawn.append((place, text, fill, font.size))
        draw(self, place, text, fill=fill, font=font)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    stream = pages()
    first = next(stream)
    assert VERSION == 1 and first.key == "rendered_0000" and next(stream).key == "rendered_0001"
    assert drawn[:6] == [
        ((36, 36), "Date: October 24, 2017", "black", 24),
        ((32, 117), "Phone number - 282-2484", "black", 24),
        ((32, 180), "Name of the customer - Eva Lund", "navy", 24),
        ((26, 263), "Page number - 33", "black", 24),
        ((23, 342), "Invoice number   A-96049", "navy", 24),
        ((23, 423), "Quantity of cables: 67", "navy", 24),
    ]
    assert [(place, size) for place, _, _, size in drawn[6:]] == [
        ((x, y), 18) for x, y in ((36, 74), (30, 130), (37, 171), (16, 218), (25, 291), (30, 339))
    ]
    page = Image.open(io.BytesIO(first.image))
    assert (page.format, page.mode, page.size, page.getpixel((0, 0))) == ("PNG", "RGB", (480, 640), (255, 255, 255))


def test_the_split_is_of_its_version(monkeypatch):
    monkeypatch.setattr(rendered, "PAGES", 2)
    train = split("docs", None)
    assert (train.dataset, train.name) == ("docs", "train")
    (shard,) = train.shards
    assert [sample.key for sample in shard.samples()] == ["rendered_0000", "rendered_0001"]
    before = shard.scan()
    assert before.num_samples == 2
    monkeypatch.setattr(rendered, "VERSION", 2)
    assert split("docs", None).scan().fingerprint != before.fingerprint


@pytest.mark.parametrize("number", range(20))
def test_a_pages_fields_differ(number):
    fields = rendered._fields(number)
    assert len({key for key, _ in fields}) == len(fields) == 6
