"""VLMEvalKit's scores in per cent, and its spreadsheets of answers."""

import builtins

import pytest

from mlcd_eval.metrics.text import anls, vqa_accuracy

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
    assert docvqa.primary.name == "anls" and docvqa.primary.value == pytest.approx(0.90500323, abs=1e-12)
    assert (chartqa.primary.name, chartqa.primary.value) == ("relaxed_accuracy", 0.8)
    assert docvqa.model.name == "InternVL-Chat@vlmevalkit" and docvqa.dataset.num_samples is None
    assert "ChartQA_TEST: test_human, test_augmented" in capsys.readouterr().err


def test_answers_are_scored_by_our_metrics(run_import, sheet):
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
    assert anls("january  2", ["January 2", "Jan 2"]) == 1.0


def test_each_data_set_has_its_metric(run_import, sheet):
    people = ["stop"] * 2 + ["halt"] * 8
    result = run_import("vlmevalkit", sheet([(7, "q", str(people), "Stop.")], "TextVQA_VAL"))[1]["docvqa/textvqa"]
    assert result.primary.value == vqa_accuracy("Stop.", people) == pytest.approx((2 * 1 + 8 * 2) / 30)
    rows = [(0, "q", 100, 104), (1, "q", "Yes", "yes"), (2, "q", "[sic] no list", "x"), (3, "q", "['12%']", "0.2")]
    result = run_import("vlmevalkit", sheet(rows, "ChartQA_TEST"))[1]["docvqa/chartqa"]
    assert (result.primary.name, result.primary.value) == ("relaxed_accuracy", 0.5)


def test_answers_are_never_run(run_import, sheet, tmp_path):
    trap = f"[open({str(tmp_path / 'trap')!r}, 'w')]"
    assert run_import("vlmevalkit", sheet([(0, "q", trap, "x"), (1, "q", "['a']", "=1+1")]))[0] == 0
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("rows", "dataset", "sentence"),
    [
        ([(0, "q", "['a']", "a"), (0, "q", "['a']", "a")], "DocVQA_VAL", "has 2 rows and repeats 1 questions"),
        ([], "DocVQA_VAL", "has 0 rows"),
        ([(0, "q", "[]", "a")], "DocVQA_VAL", "question 0 has no answer"),
        ([(0, "q", None, "a")], "DocVQA_VAL", "question 0 has no answer"),
        ([(0, "q", "['a']", "a")], "MMBench", "holds answers to an unknown data set"),
    ],
)
def test_answers_that_cannot_be_scored(run_import, sheet, capsys, rows, dataset, sentence):
    assert run_import("vlmevalkit", sheet(rows, dataset))[0] == 2
    assert sentence in capsys.readouterr().err


def test_columns_and_spreadsheets_that_are_none(run_import, sheet, tmp_path, capsys):
    assert run_import("vlmevalkit", sheet([(0, "q")], header=("index", "question")))[0] == 2
    assert "has no column answer, prediction" in capsys.readouterr().err
    path = tmp_path / "m_DocVQA_VAL.xlsx"
    path.write_bytes(b"PK no archive")
    assert run_import("vlmevalkit", path)[0] == 2
    assert "is not a spreadsheet with rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("m_DocVQA_VAL_acc.csv", '"Overall"\n"905.0"\n', "Overall is '905.0', expected per cent, 0 to 100"),
        ("m_DocVQA_VAL_acc.csv", '"Overall"\n"nan"\n', "Overall is 'nan', expected per cent"),
        ("m_DocVQA_VAL_acc.csv", '"Overall"\n"1"\n"2"\n', "has 2 rows, expected the single row of DocVQA_VAL"),
        ("m_DocVQA_VAL_acc.csv", '"Overall"\n"1","2"\n', "is not a table"),
        (
            "m_MMBench_acc.csv",
            '"split","Overall"\n"dev","0.8"\n',
            "holds no metric that mlcd-eval knows: got m_MMBench",
        ),
        ("m_OCRBench_score.json", '{"Final Score": 800}', "holds no metric that mlcd-eval knows: got m_OCRBench_score"),
    ],
)
def test_scores_that_cannot_be_taken(run_import, tmp_path, capsys, name, text, sentence):
    (tmp_path / name).write_text(text)
    assert run_import("vlmevalkit", tmp_path / name)[0] == 2
    assert sentence in capsys.readouterr().err


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
        patch.setattr("mlcd_eval.imports.vlmevalkit.LARGEST", 10_000)
        assert run_import("vlmevalkit", path)[0] == 2
    assert "is refused: it holds" in capsys.readouterr().err
    for place in range(100, len(whole) - 100, 211):
        path.write_bytes(whole[:place] + bytes(32) + whole[place + 32 :])
        assert run_import("vlmevalkit", path)[0] in (0, 2)
