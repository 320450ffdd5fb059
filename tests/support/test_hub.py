"""A hub that refuses or does not answer: one sentence after the time limit, without retries; a hub that answers is left
alone."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

huggingface_hub = pytest.importorskip("huggingface_hub")
from huggingface_hub import constants, hf_hub_download  # noqa: E402
from huggingface_hub.utils import set_client_factory  # noqa: E402
from huggingface_hub.utils._http import default_client_factory  # noqa: E402

from mlcd_eval.errors import CheckpointError  # noqa: E402
from mlcd_eval.support import hub as module  # noqa: E402
from mlcd_eval.support.hub import HubContact, hub_access  # noqa: E402


@pytest.fixture
def contact(monkeypatch):
    """The process's contact, with limits that a test can wait for."""
    contact = HubContact(connect=0.3, read=0.3)
    set_client_factory(contact.client)
    monkeypatch.setattr(module, "contact", lambda: contact)
    yield contact
    set_client_factory(default_client_factory)


def download(port, cache):
    endpoint = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch, hub_access(offline=False):
        patch.setattr(constants, "ENDPOINT", endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
        try:
            hf_hub_download("org/name", "config.json", cache_dir=cache)
        except OSError as error:
            raise CheckpointError(f"--model 'hf:org/name' cannot be loaded: {error}") from error


def slept(monkeypatch):
    """Return the list to which the naps between retries are added."""
    naps = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", naps.append)
    return naps


def test_a_port_that_refuses(contact, unused_port, tmp_path, monkeypatch):
    naps = slept(monkeypatch)
    with pytest.raises(CheckpointError) as failure:
        download(unused_port, tmp_path)
    assert str(failure.value) == (
        f"--model 'hf:org/name' cannot be loaded: http://127.0.0.1:{unused_port} does not answer "
        "([Errno 111] Connection refused), and its files are not in the local cache"
    )
    assert naps == []


def test_a_port_that_accepts_and_says_nothing_and_is_then_not_asked_again(contact, tmp_path, monkeypatch):
    naps = slept(monkeypatch)
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CheckpointError, match=f"127.0.0.1:{port} does not answer .*timed out"):
            download(port, tmp_path)
        contact.read = 100.0  # a second wait would be noticed
        begin = time.perf_counter()
        with pytest.raises(CheckpointError, match="does not answer"):
            download(port, tmp_path)
        assert time.perf_counter() - begin < 50
    assert naps == []


def test_a_name_that_does_not_resolve_in_time(contact, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: never.wait())
    with pytest.raises(TimeoutError, match="takes too long to resolve"):
        module._resolve("huggingface.co", 0.05)
    never.set()


def test_an_error_of_another_cause_keeps_its_words_while_the_hub_is_away(contact, unused_port, tmp_path):
    with pytest.raises(CheckpointError):
        download(unused_port, tmp_path)
    assert contact.failure
    with pytest.raises(CheckpointError, match=r"^weights: damaged$"), hub_access(offline=False):
        raise CheckpointError("weights: damaged")


class Empty(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


def test_a_hub_that_answers_gets_the_library_s_own_limits(contact, tmp_path):
    with HTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(CheckpointError, match=r"cannot be loaded: .*404"):
            download(server.server_port, tmp_path)
        server.shutdown()
    assert contact.answered
    assert contact.failure is None
