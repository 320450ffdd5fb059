"""The HTML report in the system's Chromium."""

import shutil

import numpy as np
import pytest
from conftest import make_result, metric

from mlcd_eval.tables.report.examples import as_examples, pick
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.report.pictures import as_picture
from mlcd_eval.tables.report.trainings import Training
from mlcd_eval.tables.serving.export import export
from mlcd_eval.tables.serving.pages import pages

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    values = {"a": (0.90, 0.80, 0.1), "b": (0.95, 0.70, 0.2), HOSTILE: (0.85, None, 0.3)}
    results = [
        make_result(model, f"linear_probe/{task}", [metric("acc1", value, (0.5, 0.99))])
        for model, row in values.items()
        for task, value in zip(("food101", "pets", "dtd"), row, strict=True)
        if value is not None
    ]
    log = Training("run/fit", [1, 2], {"loss": [2.0, 1.0], "positive_cosine": [0.1, 0.2]})
    row = {"key": 7, "question": HOSTILE, "answer": "12", "answers": ["12"], "anls": 1.0}
    pictures = {"7": [as_picture("page", "page 7", np.zeros((30, 20, 3), np.uint8))]}
    examples = as_examples(make_result("a", "docvqa/x"), *pick([row]), pictures)
    text = report(results, baseline="a", published=["MLCD"], trainings=[log], examples=[examples])
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def page(browser, report_file):
    """The report on a phone's screen; whatever it did, it asked for nothing else and logged nothing."""
    context = browser.new_context(viewport={"width": 380, "height": 800}, color_scheme="dark")
    page = context.new_page()
    requests, said = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(report_file.as_uri())
    yield page
    assert requests == [report_file.as_uri()]
    assert said == []
    context.close()


def board(page):
    return page.locator("section[aria-labelledby=board-1]")


def column(page, place):
    return board(page).locator(f"tbody tr > :nth-child({place})").all_inner_texts()


def first_words(texts):
    return [text.split()[0].rstrip(",") for text in texts]


def test_a_column_sorts_by_click_and_by_key(page):
    head = board(page).locator("thead th", has_text="pets")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    place = 1 + head.evaluate("it => it.cellIndex")
    numbers = first_words(column(page, place))
    known = [float(number) for number in numbers if number != "-"]
    assert known == sorted(known, reverse=True)
    assert numbers[-1] == "-"
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    numbers = first_words(column(page, place))
    assert [float(number) for number in numbers if number != "-"] == sorted(known)
    assert numbers[-1] == "-"
    assert board(page).locator("[aria-sort]").count() == 1
    assert page.locator("#announced").inner_text() == "pets acc1: sorted, ascending"
    board(page).locator("thead th button").first.press("Enter")
    names = column(page, 1)
    assert names[0] == HOSTILE
    assert names[1:] == sorted(names[1:], key=str.lower)


def test_a_number_opens_its_provenance_by_click_and_by_key(page):
    button = board(page).locator("tr", has_text="alert(1)").locator("td button").first
    dialog = page.get_by_role("dialog")
    button.click()
    assert dialog.get_by_role("heading").first.inner_text() == f"{HOSTILE}: linear_probe/food101 acc1"
    text = dialog.inner_text()
    for known in ("0.85", "0.5 to 0.99", "d" * 64, "m" * 64, "open_clip:local-dir:", "2026-01-01T00:00:00"):
        assert known in text
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    button.press("Enter")
    assert dialog.is_visible()
    page.keyboard.press("Enter")  # the close button has the focus
    assert not dialog.is_visible()
    assert button.evaluate("it => it === document.activeElement")
    board(page).locator("tr.published", has_text="MLCD ViT-L/14, LAION-400M").locator("th button").click()
    assert "Table 1" in dialog.inner_text()


def test_pictures_are_drawn_and_folded_away_by_key(page):
    picture = page.get_by_role("img", name="page 7")
    assert picture.evaluate("it => [it.naturalWidth, it.naturalHeight]") == [20, 30]
    assert page.get_by_role("heading", name=HOSTILE).is_visible()
    page.locator("section[aria-labelledby=examples] summary").press("Enter")
    assert not picture.is_visible()


def test_charts_are_drawn_when_they_come_into_view_and_have_their_numbers(page):
    drawn = page.locator(".drawing > svg[role=img]")
    charts = page.locator("figure.chart").count()
    assert drawn.count() < charts
    last = page.locator("figure.chart").last
    last.scroll_into_view_if_needed()
    last.locator("svg[role=img]").wait_for()
    assert last.locator("svg[role=img]").get_attribute("aria-label") == "run/fit: mean cosine"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert drawn.count() == charts
    assert drawn.evaluate_all("all => all.every(it => it.getBoundingClientRect().width <= 380)")
    last.get_by_text("Numbers").press("Enter")
    assert "0.1" in last.get_by_role("row").nth(1).inner_text()


def test_a_series_is_shown_before_the_others_by_key(page):
    chart = page.locator("figure.chart", has_text="food101 acc1: minus a")
    chart.scroll_into_view_if_needed()
    button = chart.locator(".legend").get_by_role("button", name="better")
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert chart.locator(".drawing [opacity='0.12']").count() > 0
    button.press("Enter")
    assert chart.locator(".drawing [opacity='0.12']").count() == 0


def test_the_page_is_as_wide_as_the_screen(page):
    assert page.evaluate("document.documentElement.scrollWidth") == 380
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_the_button_turns_dark_into_light_and_back(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)" != dark
    page.get_by_role("button", name="Light or dark").press("Enter")
    assert page.evaluate(ground) == dark


@pytest.fixture
def opened(browser):
    """Open a page of records on a wide screen; whatever it did, it logged nothing."""
    contexts, said = [], []

    def go(text, file):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 800}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        file.write_text(text, encoding="utf-8")
        page.goto(file.as_uri())
        return page

    yield go
    assert said == []
    for context in contexts:
        context.close()


def models(page):
    return page.locator(".matrix:visible tbody tr:visible > th bdi").all_inner_texts()


def tasks(page):
    return [
        text.split()[0] for text in page.locator(".matrix:visible thead tr:last-child th:visible").all_inner_texts()
    ]


def test_filters_folds_and_seeds(opened, tmp_path):
    about = {
        "a_seed0": ("hf:x", 10e6),
        "a_seed1": ("hf:x", 10e6),
        "b": ("open_clip:y", 90e6),
        "c": ("open_clip:z", None),
    }
    results = []
    for place, (model, (spec, size)) in enumerate(about.items()):
        for task in ("zeroshot/x", "zeroshot/y", "knn/z"):
            result = make_result(model, task, [metric("acc1", 0.9 - place / 10)])
            changes = {"spec": spec, "num_params": size and int(size)}
            results.append(result.model_copy(update={"model": result.model.model_copy(update=changes)}))
    page = opened(report(results), tmp_path / "page.html")
    assert models(page) == ["a", "b", "c"] and tasks(page) == ["model", "rank", "score", "x", "y", "z"]
    page.get_by_role("radio", name="each model").check()
    assert models(page) == ["a_seed0", "a_seed1", "b", "c"]

    page.locator("[data-filter=name]").fill("A_s")
    assert models(page) == ["a_seed0", "a_seed1"]
    assert page.locator(".filters [role=status]").inner_text() == "2 of 4 models"
    page.locator("[data-filter=name]").fill("")
    page.locator("[data-filter=kind]").select_option("open_clip")
    assert models(page) == ["b", "c"]
    page.locator("[data-filter=least]").fill("20")
    assert models(page) == ["b"]  # the size of c is not known
    page.locator("[data-filter=kind]").select_option("every kind")
    page.locator("[data-filter=least]").fill("")
    page.locator("[data-filter=most]").fill("20")
    assert models(page) == ["a_seed0", "a_seed1"]

    page.locator("[data-filter=task]").fill("zeroshot y")
    assert tasks(page) == ["model", "rank", "score", "y"]
    page.locator("[data-filter=task]").fill("")
    fold = page.locator(".matrix:visible .groups button")
    fold.press("Enter")
    assert fold.get_attribute("aria-expanded") == "false" and tasks(page)[3:] == ["zeroshot", "z"]
    page.get_by_label("knn (1)").uncheck()
    assert tasks(page)[3:] == ["zeroshot"]
    fold.press("Enter")
    assert tasks(page)[3:] == ["x", "y"]


def test_a_sort_of_many_rows_loses_none(opened, tmp_path):
    results = [
        make_result(f"m{n:03}", f"zeroshot/{task}", [metric("acc1", n / 200)]) for n in range(150) for task in "xy"
    ]
    page = opened(report(results), tmp_path / "page.html")
    head = page.locator(".matrix thead tr:last-child th button").first
    head.click()
    head.click()  # before all rows of the first sort are there
    page.wait_for_function("document.querySelectorAll('.matrix tbody tr').length === 150")
    assert models(page) == [f"m{n:03}" for n in reversed(range(150))]


def test_published_models_come_when_asked_for_and_are_sorted_and_filtered_with_the_others(opened, tmp_path):
    results = [
        make_result(model, f"linear_probe/{task}", [metric("acc1", value)])
        for model, value in (("a", 0.97), ("b", 0.5))
        for task in ("food101", "dtd")
    ]
    page = opened(report(results, published=["MLCD"]), tmp_path / "page.html")
    head = page.locator(".matrix thead th", has_text="food101")
    head.get_by_role("button").click()
    names = page.locator(".matrix tbody tr:visible > th")
    assert names.count() == 2
    page.locator("[data-published]").press("Enter")
    texts = names.all_inner_texts()
    assert texts[0] == "a" and texts[-1] == "b" and len(texts) > 3 and all("published" in text for text in texts[1:-1])
    numbers = page.locator(
        f".matrix tbody tr > :nth-child({1 + head.evaluate('it => it.cellIndex')})"
    ).all_inner_texts()
    assert [float(text.split(",")[0]) for text in numbers] == sorted(
        (float(text.split(",")[0]) for text in numbers), reverse=True
    )
    page.locator("[data-filter=name]").fill("mlcd")
    assert names.count() == len(texts) - 2
    page.locator("[data-filter=name]").fill("")
    page.locator("[data-published]").press("Enter")
    assert names.all_inner_texts() == ["a", "b"]


def test_a_page_of_a_site_draws_with_what_lies_beside_it(browser, tmp_path):
    export(pages([make_result(model, "knn/x", [metric("acc1", 0.5, (0.4, 0.6))]) for model in "ab"], "Board"), tmp_path)
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto((tmp_path / "tasks" / "knn__x.html").as_uri())
    page.locator(".drawing svg").first.wait_for()
    assert page.locator("html.scripted").count() == 1
    assert page.locator("body").evaluate("it => getComputedStyle(it).maxWidth") == "1920px"  # the style, too
    assert said == []
    page.close()
