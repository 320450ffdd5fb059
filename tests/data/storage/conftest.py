import contextlib
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from remote_shards import HUB_REPOSITORY

from mlcd_eval.data.storage import transfer


@pytest.fixture
def server(pets, monkeypatch):
    """Serves `pets` at /plain/ and, as the hub does, below HUB_REPOSITORY; misbehaves as its attributes say.

    failures: answers that are 503 first. cut: tar bodies end after so many bytes. ranges: whether Range is honoured.
    headers: on tar files. status: of everything. shift: by how much an answer to Range is off; etag_of_rest: its ETag.
    drip: seconds per byte of a tar file. log: (method, path, Authorization, Range) of each request.
    """
    state = SimpleNamespace(failures=0, cut=None, ranges=False, headers={}, status=200, log=[])
    state.shift, state.etag_of_rest, state.drip, state.headers_of_failures = 0, None, 0, {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.log.append((self.command, self.path, self.headers["Authorization"], self.headers["Range"]))
            if state.failures:
                state.failures -= 1
                return self.answer(503, **state.headers_of_failures)
            if state.status != 200:
                return self.answer(state.status)
            for prefix in ("/plain/", f"{HUB_REPOSITORY}/raw/main/", "/storage/", f"{HUB_REPOSITORY}/raw/v2/"):
                if self.path.startswith(prefix):
                    return self.send_path(pets / self.path.removeprefix(prefix))
            if self.path.startswith(f"{HUB_REPOSITORY}/resolve/"):
                name = self.path.removeprefix(f"{HUB_REPOSITORY}/resolve/").partition("/")[2]
                sha256 = hashlib.sha256((pets / name).read_bytes()).hexdigest()
                location = state.storage + f"/storage/{name}"
                return self.answer(
                    302, **{"Location": location, "X-Linked-ETag": f'"{sha256}"', "ETag": '"of the hub"'}
                )
            return self.answer(404)

        do_HEAD = do_GET

        def send_path(self, path):
            if not path.is_file():
                return self.answer(404)
            contents, status, start = path.read_bytes(), 200, 0
            headers = dict(state.headers) if path.suffix == ".tar" else {}
            if state.ranges and self.headers["Range"] and self.headers["If-Range"] == headers.get("ETag"):
                start, status = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")), 206
            if status == 206:
                first = start + state.shift
                headers["Content-Range"] = f"bytes {first}-{len(contents) - 1}/{len(contents)}"
                headers["ETag"] = state.etag_of_rest or headers["ETag"]
                start = first
            return self.answer(status, contents[start:], **headers)

        def answer(self, status, body=b"", **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET" and self.path.endswith(".tar") and state.drip:
                with contextlib.suppress(OSError):
                    for position in range(len(body)):
                        time.sleep(state.drip)
                        self.wfile.write(body[position : position + 1])
            elif self.command == "GET":
                self.wfile.write(body[: state.cut] if self.path.endswith(".tar") else body)

        def log_message(self, *args):
            pass

    monkeypatch.setattr(transfer, "BACKOFF", 0.001)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        state.storage = f"http://localhost:{http.server_port}"  # another host, as the hub's storage is
        monkeypatch.setenv("HF_ENDPOINT", state.url)
        yield state
        http.shutdown()
