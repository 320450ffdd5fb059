"""A site of records over HTTP, made anew whenever the records change. It reads, and never writes."""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from mlcd_eval.errors import DataError, UserError
from mlcd_eval.records import Result, read_files, record_files
from mlcd_eval.tables.serving.pages import INDEX, Page, pages

LOOPBACK = ("127.0.0.1", "::1", "localhost")
POLICY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}


class Site:
    """The pages of a folder of records as it is now. Threads may ask at the same time; each page is made once per
    version of the records."""

    def __init__(
        self,
        folder: Path,
        title: str,
        published: Sequence[str],
        say: Callable[[str], None],
        apart: str | None = None,
    ) -> None:
        """say: is told of records that cannot be read, once each. apart: as in `report`."""
        self._folder, self._title, self._published, self._say, self._apart = folder, title, published, say, apart
        self._lock = threading.Lock()
        self._version = ""
        self._pages: Mapping[str, Page] = {}
        self._made: dict[str, str] = {}
        self._said: set[str] = set()

    def version(self) -> str:
        """A hash of the names, sizes and times of the records' files."""
        seen = hashlib.sha256()
        for path in record_files(self._folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            seen.update(os.fsencode(f"{path} {status.st_size} {status.st_mtime_ns}\n"))
        return seen.hexdigest()[:16]

    def page(self, address: str) -> tuple[str, str, str] | None:
        """(version, content type, text) of a page, None if there is none at this address."""
        with self._lock:
            version = self.version()
            if version != self._version:
                records = self._records()
                files, results = [file for file, _ in records], [result for _, result in records]
                self._pages = pages(results, self._title, self._published, version, files, self._apart)
                self._version, self._made = version, {}
            if (page := self._pages.get(address)) is None:
                return None
            if address not in self._made:
                self._made[address] = page.make()
            return version, page.content_type, self._made[address]

    def _records(self) -> list[tuple[Path, Result]]:
        told: list[str] = []
        records: list[tuple[Path, Result]] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if record_files(self._folder):
                try:
                    records = read_files([self._folder])
                except DataError as error:  # none can be read
                    told.append(str(error))
        for text in (*(str(warning.message) for warning in caught), *told):
            if text not in self._said:
                self._said.add(text)
                self._say(text)
        return records


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of a site's pages; anything else is refused."""

    site: ClassVar[Site]
    hosts: ClassVar[tuple[str, ...]]
    server_version, sys_version = "mlcd-eval", ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    def _answer(self, with_body: bool) -> None:
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if self.hosts and host not in self.hosts:  # a page of another site that names this machine as its own
            self.send_error(HTTPStatus.FORBIDDEN, "this server answers to its own name only")
            return
        address = unquote(urlsplit(self.path).path).lstrip("/") or INDEX
        try:
            found = (self.site.version(), "text/plain", "") if address == "version" else self.site.page(address)
        except UserError as error:  # such as an unknown --published
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "these records make no page", str(error))
            return
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND, "there is no such page")
            return
        version, content_type, text = found
        tag = f'"{version}"'
        if self.headers.get("If-None-Match") == tag:
            self._head(HTTPStatus.NOT_MODIFIED, {"ETag": tag})
            return
        body = (text or version).encode()
        headers = {"Content-Type": content_type, "Content-Length": str(len(body)), "ETag": tag}
        self._head(HTTPStatus.OK, headers)
        if with_body:
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, **POLICY}.items():
            self.send_header(name, value)
        self.end_headers()


def make_server(site: Site, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is not started yet; port 0 takes a free one. On the loopback address it answers only requests that
    name this machine. Raises OSError where the address cannot be had."""
    hosts = LOOPBACK if host in LOOPBACK else ()
    handler = type("Handler", (_Handler,), {"site": site, "hosts": hosts})
    return ThreadingHTTPServer((host, port), handler)
