"""A site of records: its addresses, its static form, and what its server answers while records arrive."""

import hashlib
import http.client
import json
import re
import threading
from urllib.parse import unquote, urljoin

import pytest
from conftest import make_result, metric

from mlcd_eval.cli import main
from mlcd_eval.errors import ConfigError
from mlcd_eval.records import ResultStore
from mlcd_eval.tables.report import html
from mlcd_eval.tables.report.html import report
from mlcd_eval.tables.serving.export import MANIFEST, export
from mlcd_eval.tables.serving.pages import INDEX, pages
from mlcd_eval.tables.serving.server import Site, make_server

ACC = (metric("acc1", 0.5, (0.4, 0.6)),)


def some_results():
    return [make_result(model, task, ACC) for model in ("a", "b") for task in ("zeroshot/demo", "knn/demo")]


def test_every_link_leads_to_a_page_of_the_site():
    names = [("x" * 300, "zeroshot/demo"), ("日本 é", "knn/a b")]
    site = pages([*some_results(), *(make_result(*name, ACC) for name in names)], "Board")
    for address, page in site.items():
        if address.endswith(".html"):
            text = page.make()
            links = [link for link in re.findall(r'(?:href|src)="([^"#]*)"', text) if link]
            assert len(links) >= 9
            missing = [link for link in links if unquote(urljoin(address, link)) not in site]
            assert missing == [], address
    assert max(len(address.encode()) for address in site) < 200


def test_a_page_of_a_task_has_its_models_and_that_of_a_model_its_tasks():
    site = pages(some_results(), "Board")
    task, model = site["tasks/zeroshot__demo.html"].make(), site["models/b.html"].make()
    assert "<title>zeroshot/demo</title>" in task and "knn_acc" not in task
    assert ">a</bdi></th>" in task and ">b</bdi></th>" in task
    assert "<title>b</title>" in model and ">a</bdi></th>" not in model
    assert "version" not in task.split("<body>")[1].split("</nav>")[0]


def test_style_and_scripts_are_beside_the_pages_once_and_in_a_page_that_is_alone():
    site = pages(some_results(), "Board")
    shared = {address: page for address, page in site.items() if address.startswith("assets/")}
    kinds = sorted(page.content_type for page in shared.values())
    assert kinds == ["text/css; charset=utf-8", "text/javascript; charset=utf-8", "text/javascript; charset=utf-8"]
    for address, page in shared.items():
        digest = hashlib.sha256(page.make().encode()).hexdigest()
        assert re.fullmatch(rf"assets/(page|charts)-{digest[:8]}\.(css|js)", address)
    for address, page in site.items():
        if address.endswith(".html"):
            text = page.make()
            assert len(text) < 30_000 and "<style>" not in text and "<script>" not in text, address
            assert re.search("script-src 'self'; ", text)
    alone = report(some_results())
    assert len(alone) > 250_000 and not re.search(r'(href|src)="(?!#)', alone)
    assert all(page.make() in alone for page in shared.values())


def test_the_first_page_leads_from_its_numbers_to_their_models_and_tasks():
    text = pages([*some_results(), *(make_result(model, "knn/a b", ACC) for model in "ab")], "Board")[INDEX].make()
    assert '<bdi><a href="models/a.html">a</a></bdi>' in text
    assert '<a href="tasks/knn__a%20b.html" aria-label="knn/a b by acc@1">acc@1</a>' in text
    assert "<bdi>a</bdi>" in report(some_results()) and 'aria-label="knn/demo by' not in report(some_results())


def test_the_boards_of_a_page_of_a_site_are_compact_from_fewer_numbers_on(monkeypatch):
    monkeypatch.setattr(html, "MOST_CELLS_OF_SITE", 3)
    assert 'id="folds"' in pages(some_results(), "Board")[INDEX].make() and 'id="folds"' not in report(some_results())


def test_the_feed_has_the_newest_first_and_tells_of_failures(failed_result):
    old, new = make_result("a", "zeroshot/demo", ACC), failed_result
    old = old.model_copy(update={"timing": old.timing.model_copy(update={"started": "2026-01-01T00:00:00+00:00"})})
    new = new.model_copy(update={"timing": new.timing.model_copy(update={"started": "2026-02-01T00:00:00+00:00"})})
    items = json.loads(pages([old, new], "Board")["feed.json"].make())["items"]
    assert [item["date_published"][:7] for item in items] == ["2026-02", "2026-01"]
    assert items[0]["content_text"].startswith("failed: ") and items[1]["content_text"] == "50.00 [40.0, 60.0]"
    assert items[1]["url"] == "tasks/zeroshot__demo.html" and items[1]["id"] == old.request_key()


def test_an_export_changes_only_what_changed_and_removes_only_its_own(tmp_path):
    site = pages(some_results(), "Board")
    assert export(site, tmp_path) == len(site) == 10
    (tmp_path / "CNAME").write_text("example.org")
    assert export(site, tmp_path) == 0
    fewer = pages(some_results()[:2], "Board")  # model a alone
    export(fewer, tmp_path)
    assert not (tmp_path / "models" / "b.html").exists() and (tmp_path / "CNAME").exists()
    assert json.loads((tmp_path / MANIFEST).read_text()) == sorted(fewer)


def test_an_export_never_replaces_or_removes_what_it_did_not_write(tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(ConfigError, match=r"index\.html was not written by an export, expected an empty folder$"):
        export(pages(some_results(), "Board"), tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"
    (tmp_path / "index.html").unlink()
    (tmp_path / MANIFEST).write_text('["../outside.html"]')
    (tmp_path.parent / "outside.html").write_text("kept")
    with pytest.raises(ConfigError, match=r"is not the list of an export, expected addresses inside the folder$"):
        export(pages(some_results(), "Board"), tmp_path)
    assert (tmp_path.parent / "outside.html").read_text() == "kept"


@pytest.fixture
def served(tmp_path):
    """(folder of records, function from method, path and headers to the answer, what was said)."""
    said: list[str] = []
    server = make_server(Site(tmp_path / "runs", "Board", (), said.append), "127.0.0.1", 0)
    (tmp_path / "runs").mkdir()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def ask(method, path, **headers):
        connection = http.client.HTTPConnection(*server.server_address, timeout=30)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    yield tmp_path / "runs", ask, said
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_page_follows_the_records(served):
    folder, ask, said = served
    status, headers, empty = ask("GET", "/")
    assert status == 200 and "0 models, 0 tasks" in empty
    (folder / "b").mkdir()
    (folder / "b" / "broken.json").write_text("{")
    assert ask("GET", "/")[0] == 200 and "b/broken.json" in said.pop() and not said  # the only one
    (folder / "b" / "broken.json").unlink()
    ResultStore(folder).write(make_result("a", "zeroshot/demo", ACC))
    assert ask("GET", "/", **{"If-None-Match": headers["ETag"]})[0] == 200
    status, headers, page = ask("GET", "/index.html")
    assert "1 model, 1 task" in page and headers["Content-Type"].startswith("text/html")
    version = ask("GET", "/version")[2]
    assert f'data-version="{version}"' in page and "connect-src 'self'" in page
    assert ask("GET", "/", **{"If-None-Match": headers["ETag"]})[::2] == (304, "")
    assert json.loads(ask("GET", "/records.json")[2])[0]["value"] == 0.5
    assert "50.00" in ask("GET", "/models/a.html")[2]
    (folder / "a" / "broken.json").write_text("{")
    assert ask("GET", "/")[0] == 200 and len(said) == 1 and "broken.json" in said[0]


def test_records_that_make_no_page_are_said_and_a_file_that_went_is_passed_over(tmp_path):
    site = Site(tmp_path, "Board", ("nobody",), print)
    ResultStore(tmp_path).write(make_result("a", "zeroshot/demo", ACC))
    server = make_server(site, "127.0.0.1", 0)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    connection = http.client.HTTPConnection(*server.server_address, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 500 and answer.reason == "these records make no page"
    assert "--published" in answer.read().decode()
    connection.close()
    thread.join()
    server.server_close()
    version = site.version()
    (tmp_path / "a" / "gone.json").symlink_to(tmp_path / "nowhere")
    assert site.version() == version


def test_the_server_reads_only_and_answers_to_its_own_name(served):
    folder, ask, _ = served
    ResultStore(folder).write(make_result("a", "zeroshot/demo", ACC))
    assert ask("POST", "/")[0] == 501 and ask("DELETE", "/records.json")[0] == 501
    assert ask("GET", "/", Host="attacker.example")[0] == 403
    assert ask("GET", "/", Host="localhost:80")[0] == 200
    for path in ("/../conftest.py", "/%2e%2e/%2e%2e/etc/passwd", "/a/zeroshot__demo.json", "//etc/passwd"):
        assert ask("GET", path)[0] == 404, path
    head = ask("HEAD", "/")
    assert head[0] == 200 and head[2] == "" and int(head[1]["Content-Length"]) > 1000
    assert head[1]["X-Content-Type-Options"] == "nosniff"


def test_the_command(tmp_path, capsys):
    ResultStore(tmp_path / "runs").write(make_result("a", "zeroshot/demo", ACC))
    assert main(["serve", str(tmp_path / "runs"), "--export", str(tmp_path / "site"), "--title", "T"]) == 0
    assert capsys.readouterr().out == f"8 files, 8 changed: {tmp_path / 'site' / 'index.html'}\n"
    assert main(["serve", str(tmp_path / "nowhere")]) == 2
    assert "is no folder, expected one of records" in capsys.readouterr().err
    assert main(["serve", str(tmp_path / "runs"), "--host", "192.0.2.1"]) == 2
    assert "cannot listen at 192.0.2.1:8321" in capsys.readouterr().err
