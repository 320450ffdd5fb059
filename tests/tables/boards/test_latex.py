"""LaTeX tables, as text and where there is one through LaTeX itself."""

import shutil
import subprocess

import pytest
from conftest import make_result, metric

from mlcd_eval.tables.boards.latex import escaped
from mlcd_eval.tables.formats import render

HOSTILE = 'a_b & 50% $x^2$ #1 {y} ~ \\input{/etc/passwd} <z> | "q" [0]'


def test_a_table_word_for_word():
    results = [
        make_result("tiny", "zeroshot/demo"),
        make_result("big_one", "zeroshot/demo", [metric("acc1", 0.5)]),
    ]
    lines = render(results, "latex").splitlines()
    assert lines[0] == "% \\usepackage{booktabs,array}"
    assert lines[2:4] == [r"\begin{table*}", r"\centering"]
    assert lines[4].startswith(r"\caption{zeroshot. Per cent, with 95\% bootstrap intervals")
    assert lines[5:] == [
        r"\begin{tabular}{llrrr}",
        r"\toprule",
        r"task & metric & n & tiny & big\_one \\",
        r"\midrule",
        r"demo & acc1 & 200 & \underline{45.25} [40.0, 50.1] & \textbf{50.00} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]


def test_names_are_escaped():
    assert escaped(r"a_b & 50% \x") == r"a\_b \& 50\% \textbackslash{}x"
    assert escaped("{^~}\n") == r"\{\textasciicircum{}\textasciitilde{}\}"
    assert escaped("*[2cm]") == "{*}{[}2cm{]}"  # a line of a table may begin with it
    text = render([make_result(HOSTILE)], "latex")
    assert r"\input" not in text
    assert r"\textbackslash{}input\{/etc/passwd\}" in text


def test_a_means_measure_is_escaped():
    results = [make_result("m", f"refcoco/{name}", [metric("overall_iou", 0.5)]) for name in "ab"]
    line = next(line for line in render(results, "latex").splitlines() if line.startswith("average"))
    assert r"& overall\_iou &" in line


def test_published_rows_and_differences():
    result = make_result("clip", "linear_probe/food101", [metric("acc1", 0.9, (0.89, 0.91))])
    label = "OpenCLIP ViT-L/14, LAION-400M"
    text = render([result], "latex", published=[f"clip={label}"])
    assert r"\textit{OpenCLIP ViT-L/14, LAION-400M, published}" in text
    line = r"\underline{90.00} [89.0, 91.0] ($\Delta$ -3.30\textsuperscript{\dag}) \\"
    assert line in text and r"& \textbf{93.3} \\" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_takes_it(tmp_path):
    table = render([make_result(HOSTILE)], "latex", published=["MLCD"], groups=["zeroshot_vit_l14"])
    document = "\\documentclass{article}\n\\usepackage{booktabs,array}\n\\usepackage[T1]{fontenc}\n\\begin{document}\n"
    (tmp_path / "t.tex").write_text(f"{document}{table}\\end{{document}}\n")
    subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
