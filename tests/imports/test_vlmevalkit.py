"""VLMEvalKit's scores in per cent, and its spreadsheets of answers."""

import builtins
import json

import pytest

from mlcd_eval.imports.source import Source
from mlcd_eval.imports.vlmevalkit import _of_scores
from mlcd_eval.metrics.text import anls, vqa_accuracy
from mlcd_eval.records import read_outcomes

openpyxl = pytest.importorskip("openpyxl")


@pytest.fixture
def sheet(tmp_path):
    """A spreadsheet of rows under the header, as the harness calls its own."""

    def write(rows, dataset="DocVQA_VAL", header=("index", "question", "answer", "prediction")):
        book = openpyxl.Workbook()
        for row in [header, *rows]:
            book.active.append(row)
        path = tmp_path / f"my_VLM_{dataset}.xlsx"
        book.save(path)
        return path

    return write


def test_per_cent_become_fractions(run_import, golden, capsys):
    code, records = run_import("vlmevalkit", *golden.glob("InternVL*"))
    assert code == 0
    docvqa, chartqa = records["docvqa/docvqa_val"], records["docvqa/chartqa"]
    assert docvqa.primary.name == "anls_compat" and docvqa.primary.value == pytest.approx(0.90500323, abs=1e-12)
    assert (chartqa.primary.name, chartqa.primary.value) == ("relaxed_accuracy", 0.8)
    assert docvqa.model.name == "InternVL-Chat@vlmevalkit" and docvqa.dataset.num_samples is None
    assert {metric.name: metric.value for metric in chartqa.metrics[1:]} == {
        "relaxed_accuracy_human": 0.7,
        "relaxed_accuracy_augmented": 0.9,
    }
    mmmu = records["imported/vlmevalkit-MMMU_DEV_VAL-validation"]
    assert {metric.name: metric.value for metric in mmmu.metrics} == {"Overall": 0.45, "Accounting": 0.3, "Art": 0.55}
    assert mmmu.primary_metric == "Overall" and records["imported/vlmevalkit-MMMU_DEV_VAL-dev"].primary.value == 0.5
    assert "DocVQA_VAL: val (a column that is not known here)" in capsys.readouterr().err


def test_points_keep_their_unit(run_import, golden):
    _, records = run_import("vlmevalkit", golden / "vila_8b_MME_score.csv", golden / "vila_8b_OCRBench_score.json")
    mme, ocrbench = records["imported/vlmevalkit-MME"], records["imported/vlmevalkit-OCRBench"]
    assert (mme.primary.name, mme.primary.value, mme.primary.unit) == ("perception", 1558.5247098839536, "points")
    values = {metric.name: metric.value for metric in mme.metrics}
    parts = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
    assert values["reasoning"] == sum(values[part] for part in parts) == 282.5
    assert (ocrbench.primary.name, ocrbench.primary.value, ocrbench.primary.unit) == ("Final Score", 438, "points")
    assert sum(metric.value for metric in ocrbench.metrics[1:]) == 438
    assert {metric.unit for result in (mme, ocrbench) for metric in result.metrics} == {"points"}


@pytest.mark.parametrize("file", ["vila_8b_HallusionBench_score.csv", "vila_8b_COCO_VAL_score.json"])
def test_files_of_unknown_data_sets_are_recognised(run_import, golden, capsys, file):
    assert run_import("vlmevalkit", golden / file) == (2, {})
    error = capsys.readouterr().err
    assert "(data set not known here)" in error and error.count("\n") == 1


@pytest.mark.parametrize("suffix", ["tsv", "json"])
def test_answers_in_other_formats_score_as_spreadsheets(run_import, sheet, tmp_path, suffix):
    header = ("index", "question", "answer", "split", "prediction")
    rows = [
        (1, "q", "14", "test_human", "11"),
        (2, "q", "0.57", "test_human", "0.58"),
        (3, "q", "a, b", "test_augmented", "A, B"),
        (4, "q", "x", "test_augmented", None),
    ]
    expected = run_import("vlmevalkit", sheet(rows, "ChartQA_TEST", header), name="xlsx")[1]["docvqa/chartqa"]
    path = tmp_path / f"my_VLM_ChartQA_TEST.{suffix}"
    if suffix == "tsv":
        lines = [header, *([cell if cell is not None else "" for cell in row] for row in rows)]
        path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    else:
        path.write_text(json.dumps([dict(zip(header, row, strict=True)) for row in rows]))
    result = run_import("vlmevalkit", path, name=suffix)[1]["docvqa/chartqa"]
    values = [(metric.name, metric.value, metric.num_scored) for metric in result.metrics]
    assert values == [
        ("relaxed_accuracy", 0.5, 4),
        ("relaxed_accuracy_human", 0.5, 2),
        ("relaxed_accuracy_augmented", 0.5, 2),
    ]
    assert result.metrics == expected.metrics


def test_a_list_in_a_cell_is_several_answers_only_where_the_data_set_has_lists(run_import, sheet):
    """The golds of five rows of VLMEvalKit's ChartQA file, of which one was answered right."""
    golds = ("[2014, 2016]", "[2013, 2016]", "[2003,2009]", "[2015, 2016]", "[42.47, 54.91]")
    said = ("[2014, 2016]", "2011", "2016", "2018", "42.7")
    rows = [(n, "q", *pair) for n, pair in enumerate(zip(golds, said, strict=True))]
    assert run_import("vlmevalkit", sheet(rows, "ChartQA_TEST"))[1]["docvqa/chartqa"].primary.value == 0.2
    for dataset, task in (("DocVQA_VAL", "docvqa_val"), ("InfoVQA_VAL", "infovqa_val"), ("TextVQA_VAL", "textvqa")):
        file = sheet([(0, "q", "['2003', '2009']", "2009")], dataset)
        assert run_import("vlmevalkit", file)[1][f"docvqa/{task}"].primary.value > 0


def test_answers_are_scored_by_our_metrics(run_import, sheet, tmp_path):
    rows = [
        (0, "q", "['January 2', 'Jan 2']", "january  2"),
        (1, "q", "['coffee']", "tea" + 20 * " "),
        (2, "q", "['0.28']", None),
    ]
    result = run_import("vlmevalkit", sheet(rows))[1]["docvqa/docvqa_val"]
    assert result.primary.value == pytest.approx(1 / 3) and result.primary.num_scored == 3
    assert [metric.name for metric in result.metrics] == ["anls", "anls_compat"]
    assert result.metrics[1].value == pytest.approx((1 + 1 - 5 / 23) / 3)  # the padding counts there
    assert result.dataset.expected_num_samples == 5349 and result.primary.ci95 is None
    columns = read_outcomes(tmp_path / "out" / result.model.name / "docvqa__docvqa_val.json", result).columns
    assert columns["key"] == ["0", "1", "2"] and columns["anls"].tolist() == [1.0, 0.0, 0.0]
    assert anls("january  2", ["January 2", "Jan 2"]) == 1.0


def test_each_data_set_has_its_metric(run_import, sheet):
    people = ["stop"] * 2 + ["halt"] * 8
    result = run_import("vlmevalkit", sheet([(7, "q", str(people), "Stop.")], "TextVQA_VAL"))[1]["docvqa/textvqa"]
    assert result.primary.value == vqa_accuracy("Stop.", people) == pytest.approx((2 * 1 + 8 * 2) / 30)
    rows = [(0, "q", 100, 104), (1, "q", "Yes", "yes"), (2, "q", "[sic] no list", "x"), (3, "q", "12%", "0.2")]
    result = run_import("vlmevalkit", sheet(rows, "ChartQA_TEST"))[1]["docvqa/chartqa"]
    assert (result.primary.name, result.primary.value) == ("relaxed_accuracy", 0.5)


def test_answers_are_never_run(run_import, sheet, tmp_path):
    trap = f"[open({str(tmp_path / 'trap')!r}, 'w')]"
    assert run_import("vlmevalkit", sheet([(0, "q", trap, "x"), (1, "q", "['a']", "=1+1")]))[0] == 0
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("rows", "dataset", "message"),
    [
        ([(0, "q", "['a']", "a"), (0, "q", "['a']", "a")], "DocVQA_VAL", "has 2 rows and repeats 1 questions"),
        ([], "DocVQA_VAL", "has 0 rows"),
        ([(0, "q", "[]", "a")], "DocVQA_VAL", "question 0 has no answer"),
        ([(0, "q", None, "a")], "DocVQA_VAL", "question 0 has no answer"),
        ([(0, "q", "['a']", "a")], "MMBench", "holds answers to a data set that is not known here"),
    ],
)
def test_answers_that_cannot_be_scored(run_import, sheet, capsys, rows, dataset, message):
    assert run_import("vlmevalkit", sheet(rows, dataset))[0] == 2
    assert message in capsys.readouterr().err


def test_columns_and_spreadsheets_that_are_none(run_import, sheet, tmp_path, capsys):
    assert run_import("vlmevalkit", sheet([(0, "q")], header=("index", "question")))[0] == 2
    assert "has no column answer, prediction" in capsys.readouterr().err
    path = tmp_path / "m_DocVQA_VAL.xlsx"
    path.write_bytes(b"PK no archive")
    assert run_import("vlmevalkit", path)[0] == 2
    assert "is not a spreadsheet with rows" in capsys.readouterr().err


REFUSED = {
    ("m_DocVQA_VAL_acc.csv", '"Overall"\n"905.0"\n'): "Overall is '905.0', expected per cent, 0 to 100",
    ("m_DocVQA_VAL_acc.csv", '"Overall"\n"nan"\n'): "Overall is 'nan', expected per cent",
    ("m_DocVQA_VAL_acc.csv", '"Overall"\n"1"\n"2"\n'): "has 2 rows, expected the one of DocVQA_VAL",
    ("m_DocVQA_VAL_acc.csv", '"Overall"\n"1","2"\n'): "is not a table",
    ("m_OCRBench_score.json", '{"Final Score": 1001}'): "Final Score is 1001, expected points, 0 to 1000",
    ("m_MMMU_DEV_VAL_acc.csv", '"split","Overall"\n"dev","45"\n'): "Overall is '45', expected a fraction, 0 to 1",
    ("m_ChartQA_TEST.tsv", "index\tquestion\n1\tq\n"): "has no column answer, prediction",
    (
        "m_MMBench_acc.csv",
        '"split","Overall"\n"dev","0.8"\n',
    ): "holds no value that mlcd-eval knows: m_MMBench: split, Overall (data set not known here)",
    ("m_ChartQA_TEST.json", '[{"index": null, "question": "q", "answer": "a", "prediction": "a"}]'): "without an index",
}


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_scores_that_cannot_be_taken(run_import, tmp_path, capsys, name, text):
    (tmp_path / name).write_text(text)
    assert run_import("vlmevalkit", tmp_path / name)[0] == 2
    assert REFUSED[name, text] in capsys.readouterr().err


def test_without_openpyxl_the_extra_is_named(run_import, sheet, monkeypatch, capsys):
    path = sheet([(0, "q", "['a']", "a")])
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "openpyxl":
            raise ImportError("No module named 'openpyxl'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert run_import("vlmevalkit", path)[0] == 2
    assert "needs the extra `pip install 'mlcd-eval[imports]'`" in capsys.readouterr().err


def test_spreadsheets_that_inflate_or_are_damaged_are_refused(run_import, sheet, capsys, monkeypatch):
    """A few kilobytes may hold gigabytes of XML."""
    path = sheet([(0, "q", "['a']", " " * 30_000)])
    whole = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("mlcd_eval.imports.spreadsheet.LARGEST", 10_000)
        assert run_import("vlmevalkit", path)[0] == 2
    assert "is refused: it holds" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("mlcd_eval.imports.spreadsheet.MOST_CELLS", 3)
        assert run_import("vlmevalkit", path)[0] == 2
    assert "is refused: it has more than 3 cells" in capsys.readouterr().err
    for place in range(100, len(whole) - 100, 211):
        path.write_bytes(whole[:place] + bytes(32) + whole[place + 32 :])
        assert run_import("vlmevalkit", path)[0] in (0, 2)


def test_a_file_of_scores_of_unknown_data_is_named_by_itself(tmp_path):
    source = Source("vlmevalkit", tmp_path / "model_Nowhere_score.json", b"")
    task = _of_scores(source, "model", "", "model_Nowhere", [{"Overall": 3}])
    assert task.task == "imported/vlmevalkit-model_Nowhere" and list(task.left_out) == ["Overall"]
