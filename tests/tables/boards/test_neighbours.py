"""`mlcd-eval table` with published models: --nearest, --published SOURCE:GLOB, and the page's charts."""

import re

import pytest
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.boards.choose import choose, of_records
from mlcd_eval.tables.formats import render
from mlcd_eval.tables.published import tables
from mlcd_eval.tables.report.html import report

PROMPTS = "class names: clip-benchmark:imagenet1k; templates: clip-benchmark:imagenet1k"


@pytest.fixture
def result():
    made = make_result(
        "<mine>",
        "zeroshot/imagenet",
        [metric("acc1", 0.6656, (0.6615, 0.6697), n=50_000)],
        details={"prompts": PROMPTS, "num_templates": 80},
    )
    model = made.model.model_copy(update={"spec": "open_clip:ViT-B-32/laion2b_s34b_b79k", "num_params": 151_277_313})
    data = made.dataset.model_copy(update={"name": "imagenet1k", "num_samples": 50_000})
    return made.model_copy(update={"model": model, "dataset": data})


def test_the_nearest_models_stand_around_the_record(result):
    text = render([result], "markdown", nearest=4)
    assert re.search(
        r"\| &lt;mine&gt; \| zeroshot/imagenet \| acc1 +\| 66\.56 \[66\.1, 67\.0\] \| \d+ \[\d+, \d+\] of 1\d\d \|",
        text,
    )
    section = text.partition("### &lt;mine&gt;, zeroshot/imagenet acc1")[2]
    rows = [line for line in section.partition("\n\nPublished")[0].splitlines() if line.startswith("| *")]
    assert len(rows) == 5
    values = [float(row.split("|")[2].split()[0]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert sum(row.startswith("| **&lt;mine&gt;**") for row in rows) == 1
    assert "Published for this model in the same way: 66.56 (ViT-B-32, laion2b_s34b_b79k (open_clip))" in section
    apart = section.partition("Measured otherwise, so not ranked")[2]
    assert "laion/CLIP-ViT-B-32-laion2B-s34B-b79K (mteb 1.14.15" in apart
    assert "prompts: a photo of {c}. (yours: clip-benchmark:imagenet1k)" in apart


def test_by_size_the_sizes_are_near(result):
    section = render([result], "markdown", nearest=3, by="gflops").partition("### ")[2]
    rows = [line.split("|") for line in section.partition("\n\nPublished")[0].splitlines() if line.startswith("| *")]
    assert [float(row[5]) for row in rows] == [14.8] * 4


def test_a_source_stands_beside_the_record_and_what_differs_in_columns_of_its_own(result):
    text = render([result], "markdown", published=["open_clip:ViT-B-32/*", "mteb:laion/CLIP-ViT-B-32-laion*"])
    first, second = (part.splitlines() for part in text.partition("## zeroshot\n\n")[2].split("\n\n")[:2])  # too wide
    assert " imagenet |" in first[0]
    assert "| imagenet [prompts=a photo of {c}., class_names=MTEB's, each with a line break]" in second[0]
    ours = {}
    for line in [*first, *second]:
        name, value = (cell.strip() for cell in line.split("|")[1:3])
        ours.setdefault(name, []).append(value)
    assert ours["*ViT-B-32, openai (open_clip), published*"] == ["63.32", "-"]
    (mteb,) = [cells for name, cells in ours.items() if "(mteb " in name]
    assert (mteb[0], mteb[1].strip("*")) == ("-", "65.154")


def test_a_whole_table_of_the_atlas_keeps_its_columns_apart():
    text = render([], "markdown", groups=["perception_encoder/core"])
    assert "| ImageNet zero-shot " in text
    probe = render([], "markdown", published=["clip_benchmark:ViT-B-16/openai"])
    assert "linear_probe" in probe and "shots=25" in probe


@pytest.mark.parametrize("group", ["clip_benchmark/probe", "mteb/zeroshot"])
def test_every_number_of_a_table_has_a_cell(group):
    (board,), numbers = choose([], groups=[group])
    cells = [cell.source for row in board.rows for cell in row.cells.values()]
    assert len(cells) == len(numbers) == tables()[group].size
    assert set(cells) == set(numbers)


def test_numbers_that_differ_only_in_what_no_record_states_are_apart_too():
    record = make_result("m", "linear_probe/cifar100", [metric("acc1", 0.8)])
    (board,), numbers = choose([record], ["clip_benchmark:ViT-B-16/openai"], places=of_records([record]))
    shown = [column.variant for column in board.columns if column.variant]
    assert len(shown) == len(set(shown)) == sum(number.metric == "acc1" for number in numbers) > 27
    assert any(variant.startswith("data=vtab/cifar100") for variant in shown)


def test_the_page_draws_accuracy_against_size_with_the_record_on_it(result):
    page = report([result], nearest=3)
    assert page.count("<td>66.56</td><td>[66.1, 67.0]</td><td>&lt;mine&gt;</td>") == 2  # by GFLOPs and by parameters
    assert "zeroshot/imagenet acc1 by GFLOPs" in page
    assert "<td>84.37</td><td></td><td>ViT-H-14-378-quickgelu, dfn5b (open_clip)</td>" in page
    assert "<mine>" not in page
    assert 'style="' not in page  # the page's policy forbids it
    assert "Among published models" not in report([result])
    assert "Among published models" not in report([result], published=["MLCD"])
    beside = report([result], published=["open_clip:*"])
    assert "zeroshot/imagenet acc1 by parameters (M)" in beside
    assert "percentile" not in beside.partition('<section aria-labelledby="standing">')[2].partition("<div")[2]


def test_records_that_nobody_published_say_so():
    assert "No published number is of the tasks and metrics of these records." in render(
        [make_result()], "markdown", nearest=2
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--nearest", "3"], "--nearest N goes with PATH of records"),
        (["RUN", "--by", "gflops"], "--by gflops goes with --nearest N"),
        (
            ["RUN", "--nearest", "3", "--format", "csv"],
            "--nearest goes with --format markdown, html or terminal: got --format csv",
        ),
        (["RUN", "--published", "open_clip:ViT-B-33*"], "--published: got 'open_clip:ViT-B-33*', expected a model of"),
        (["RUN", "--published-group", "mteb/zeroshots"], "(did you mean 'mteb/zeroshot'?)"),
    ],
)
def test_mistakes_are_one_sentence(words, sentence, result, tmp_path, capsys):
    ResultStore(tmp_path).write(result)
    assert main(["table", *(str(tmp_path) if word == "RUN" else word for word in words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line


def test_fewer_than_one_neighbour_is_no_number(capsys):
    with pytest.raises(SystemExit):
        main(["table", "x", "--nearest", "0"])
    assert "got 0, expected a number of at least 1" in capsys.readouterr().err


def test_a_page_with_many_rows_shows_the_first_until_asked(result):
    page = report([result], published=["open_clip:*", "clip_benchmark:*"])
    assert page.count('<table class="short">') == 1
    rows = page.count('<tr class="published">')
    assert rows > 150 and f"Show all {rows + 1} rows</button>" in page
    assert "Show all" not in report([result], published=["open_clip:ViT-B-32/*"])
