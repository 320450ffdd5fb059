"""A dataset on the web, streamed: it retries, resumes a broken transfer, and never takes a part for the whole."""

from __future__ import annotations

import hashlib
import io
import os
import re
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlcd_eval.data.storage.location import HUB, Digest, ForbiddenError, UnlistedFolder, decode_text
from mlcd_eval.data.storage.transfer import Body, bounded_retry, validator_of
from mlcd_eval.errors import DataError
from mlcd_eval.support.addresses import without_secrets

if TYPE_CHECKING:
    import requests

TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
BUFFER = 1 << 20
LARGEST_TEXT = 16 << 20  # bytes of a file of names or templates


class RemoteFolder(UnlistedFolder):
    """A folder served over http(s).

    `https://huggingface.co/datasets/ORG/NAME[/tree/REVISION[/FOLDER]]` (or the same at $HF_ENDPOINT, which then serves
    both) keeps its small files under raw/ and its large ones under resolve/; any other address is used unchanged.
    """

    def __init__(self, root: str) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self.root = without_secrets(root.rstrip("/"))
        address = urlsplit(root)
        if address.query or address.fragment:
            raise DataError(
                f"{self.root}: got an address with a query (?...), as signed ones have, expected that of a folder, to "
                "which names of files are added: download the data, or serve it without signatures"
            )
        self._text_root, self._data_root, on_hub = _roots(self.root)
        self._validators: dict[str, str] = {}  # url -> what the server said of the file when it was scanned
        self._session = requests.Session()
        if address.username is not None:
            self._session.auth = (unquote(address.username), unquote(address.password or ""))
        self._session.mount("http://", HTTPAdapter(max_retries=bounded_retry()))
        self._session.mount("https://", HTTPAdapter(max_retries=bounded_retry()))
        self._session.headers["Accept-Encoding"] = "identity"  # so that Content-Length counts the bytes we read
        if on_hub and os.environ.get("HF_TOKEN"):
            self._session.headers["Authorization"] = f"Bearer {os.environ['HF_TOKEN']}"

    def path(self, name: str) -> str:
        """The URL of a large file."""
        return f"{self._data_root}/{name}"

    def read_text(self, name: str) -> str | None:
        """A small UTF-8 file, None where the server says 404."""
        url = f"{self._text_root}/{name}"
        with self.request("GET", url) as response:
            if response.status_code == 404:
                return None
            check_status(response, url)
            with io.BufferedReader(self._body(url, response)) as stream:
                contents = stream.read(LARGEST_TEXT + 1)
            if len(contents) > LARGEST_TEXT:
                raise DataError(f"{url} is longer than {LARGEST_TEXT:,} bytes, expected a short text")
            return decode_text(contents, url)

    def open(self, name: str) -> IO[bytes]:
        """The large file as a stream."""
        url = self.path(name)
        response = self.request("GET", url)
        check_status(response, url)
        expected, validator = self._validators.get(url), validator_of(response)
        if expected not in (None, validator):
            response.close()
            raise DataError(
                f"{url} changed since it was scanned: the server says {validator}, expected {expected}; run the same "
                "command again"
            )
        return io.BufferedReader(self._body(url, response), BUFFER)

    def _body(self, url: str, response: requests.Response) -> Body:
        return Body(lambda url, headers: self.request("GET", url, headers), url, response)

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
            validator = validator_of(response)
            size = response.headers.get("Content-Length")
        if validator is None:
            raise DataError(f"{url} cannot be identified: its server gives neither ETag nor Last-Modified")
        self._validators[url] = validator
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
            raise DataError(f"cannot reach {url}: {without_secrets(str(cause))}") from error


def check_status(response: requests.Response, url: str) -> None:
    """Raises DataError unless the status is 2xx, ForbiddenError for 401 and 403."""
    if response.ok:
        return
    problem = f"cannot read {url}: got HTTP status {response.status_code}, expected 200"
    if response.status_code not in (401, 403):
        raise DataError(problem)
    on_hub = url.startswith((HUB, os.environ.get("HF_ENDPOINT", HUB)))
    key = "HF_TOKEN" if on_hub else "an address with a name and password, https://NAME:PASSWORD@HOST/"
    raise ForbiddenError(f"{problem} (private data needs {key})")


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
