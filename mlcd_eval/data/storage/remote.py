"""A dataset on the web, streamed: it retries, resumes a broken transfer, and never takes a part for the whole."""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
from typing import IO, TYPE_CHECKING

from mlcd_eval.data.storage.location import HUB, Digest, decode_text
from mlcd_eval.errors import DataError

if TYPE_CHECKING:
    import requests

RETRIES = 4
BACKOFF = 0.5  # seconds, doubled at each retry
TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
BUFFER = 1 << 20


class RemoteFolder:
    """A folder served over http(s).

    `https://huggingface.co/datasets/ORG/NAME[/tree/REVISION[/FOLDER]]` (or the same at $HF_ENDPOINT, which then serves
    both) keeps its small files under raw/ and its large ones under resolve/; any other address is used unchanged.
    """

    def __init__(self, root: str) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        self.root = root.rstrip("/")
        self._text_root, self._data_root, on_hub = _roots(self.root)
        retry = Retry(
            RETRIES, backoff_factor=BACKOFF, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
        )
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(max_retries=retry))
        self._session.mount("https://", HTTPAdapter(max_retries=retry))
        self._session.headers["Accept-Encoding"] = "identity"  # so that Content-Length counts the bytes we read
        if on_hub and os.environ.get("HF_TOKEN"):
            self._session.headers["Authorization"] = f"Bearer {os.environ['HF_TOKEN']}"

    def __str__(self) -> str:
        return self.root

    def path(self, name: str) -> str:
        """The URL of a large file."""
        return f"{self._data_root}/{name}"

    def folders(self) -> list[str]:
        """Always empty: a web folder cannot be listed."""
        return []

    def read_text(self, name: str) -> str | None:
        """A small UTF-8 file, None where the server says 404."""
        url = f"{self._text_root}/{name}"
        with self.request("GET", url) as response:
            if response.status_code == 404:
                return None
            check_status(response, url)
            with io.BufferedReader(_Body(self, url, response)) as stream:
                return decode_text(stream.read(), url)

    def open(self, name: str) -> IO[bytes]:
        """The large file as a stream."""
        url = self.path(name)
        response = self.request("GET", url)
        check_status(response, url)
        return io.BufferedReader(_Body(self, url, response), BUFFER)

    def digest(self, name: str) -> Digest:
        """What the server says of a large file's contents: their sha256 on the hub (LFS), else a hash of the address
        with the ETag or, without an ETag, the time of change."""
        url = self.path(name)
        with self.request("HEAD", url) as response:
            for answer in [*response.history, response]:  # the hub's own answer comes before its storage's
                linked = answer.headers.get("X-Linked-ETag", "").strip('"')
                if re.fullmatch(r"[0-9a-f]{64}", linked):
                    return Digest(linked, is_sha256=True)
            check_status(response, url)
            validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
            size = response.headers.get("Content-Length")
        if validator is None:
            raise DataError(f"{url} cannot be identified: its server gives neither ETag nor Last-Modified")
        return Digest(hashlib.sha256(f"{url} {validator} {size}".encode()).hexdigest(), is_sha256=False)

    def request(self, method: str, url: str, headers: dict[str, str] | None = None) -> requests.Response:
        """One request, with retries; the answer may be an HTTP error."""
        import requests

        try:
            return self._session.request(
                method, url, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=True
            )
        except requests.RequestException as error:
            cause = getattr(error.args[0] if error.args else None, "reason", error)
            raise DataError(f"cannot reach {url}: {cause}") from error


def check_status(response: requests.Response, url: str) -> None:
    """Raises DataError unless the status is 2xx."""
    if not response.ok:
        hint = " (private data needs HF_TOKEN)" if response.status_code in (401, 403) else ""
        raise DataError(f"cannot read {url}: got HTTP status {response.status_code}, expected 200{hint}")


def _roots(root: str) -> tuple[str, str, bool]:
    """Where small and large files are, and whether that is the hub."""
    endpoint = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    for host in (HUB, endpoint):
        repository = root.removeprefix(f"{host}/datasets/")
        if repository == root:
            continue
        match = re.fullmatch(r"([^/]+/[^/]+)(?:/tree/(.+))?", repository)
        if match is None:
            raise DataError(
                f"{root} is not a dataset of the hub: expected {host}/datasets/ORG/NAME or .../tree/REVISION"
            )
        base, revision = f"{endpoint}/datasets/{match[1]}", match[2] or "main"
        return f"{base}/raw/{revision}", f"{base}/resolve/{revision}", True
    return root, root, False


class _Body(io.RawIOBase):
    """The body of an answer. A broken transfer resumes where it stopped, if the server can do so and the file is the
    same."""

    def __init__(self, folder: RemoteFolder, url: str, response: requests.Response) -> None:
        self._folder, self._url, self._response = folder, url, response
        self._validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        self._done = 0
        self._retries = RETRIES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        from urllib3.exceptions import HTTPError

        while True:
            try:
                chunk = self._response.raw.read(len(buffer))  # checks Content-Length
            except (HTTPError, OSError) as error:
                self._resume(error)
                continue
            buffer[: len(chunk)] = chunk
            self._done += len(chunk)
            return len(chunk)

    def _resume(self, error: Exception) -> None:
        self._response.close()
        if self._retries and self._validator:
            time.sleep(BACKOFF * 2 ** (RETRIES - self._retries))
            self._retries -= 1
            rest = {"Range": f"bytes={self._done}-", "If-Range": self._validator}
            self._response = self._folder.request("GET", self._url, headers=rest)
            if self._response.status_code == 206:
                return
        raise DataError(f"{self._url} was cut short after {self._done} bytes: {error}") from error

    def close(self) -> None:
        self._response.close()
        super().close()
