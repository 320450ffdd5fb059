"""Published recalls by language are beside our records of that language, and their mean beside our mean."""

from conftest import make_result, metric

from mlcd_eval.records import TaskRecord
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.identity import usual_settings
from mlcd_eval.tables.published.atlas import atlas_tables
from mlcd_eval.tables.published.comparable import differences
from mlcd_eval.tables.variants import variants

TASK = "retrieval/xm3600"


def record(language, name, task=TASK):
    """A record of one language, or of the mean."""
    settings = {**usual_settings("retrieval", task), "language": language}
    result = make_result(task=task, metrics=[metric(name, 0.5, n=3600)])
    return result.model_copy(update={"task": TaskRecord(name=task, version=1, protocol="retrieval", settings=settings)})


def numbers(task=TASK):
    table = atlas_tables()["open_clip/multilingual"]
    row = table.rows[0].label
    return list(table.numbers(row=lambda each: each.label == row, place=lambda place: place == task))


def test_each_language_has_its_published_number_and_the_mean_its_own():
    of_task = numbers()
    assert {each.dialect.language for each in of_task if each.metric == "text_to_image_recall@1"} >= {"de", "zh", "quz"}
    for language, name in (("de", "text_to_image_recall@1"), ("macro", "macro_text_to_image_recall@1")):
        alike = [each for each in of_task if not differences(each, record(language, name), name)]
        assert [(each.dialect.language, each.metric) for each in alike] == [(language, name)]
    assert {each.dialect.language for each in numbers("retrieval/xtd")} >= {"ja", "macro"}


def test_a_column_for_each_language():
    records = [record("de", "text_to_image_recall@1"), record("en", "text_to_image_recall@1")]
    labels = variants(records)
    assert [labels.label(each) for each in records] == ["language=de", "language=en"]
    (board,) = leaderboards(records, numbers())
    published = next(row for row in board.rows if row.published)
    shown = {column.variant: published[column].value for column in board.columns}
    by_language = {
        each.dialect.language: each.fraction for each in numbers() if each.metric == "text_to_image_recall@1"
    }
    assert {shown["language=de"], shown["language=en"]} == {by_language["de"], by_language["en"]}


def test_a_language_that_is_not_stated_is_english():
    old = make_result(task="retrieval/flickr30k", metrics=[metric("image_to_text_recall@1", 0.5)])
    stated = record("en", "image_to_text_recall@1", "retrieval/flickr30k")
    german = record("de", "image_to_text_recall@1", "retrieval/flickr30k")
    labels = variants([old, stated, german])
    assert [labels.label(each) for each in (old, german)] == ["", "language=de"]
    assert "language" not in labels.label(stated)
