"""The body of an http answer as a stream that waits within bounds, resumes where it was cut, and never mixes files."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from mlcd_eval.errors import DataError

if TYPE_CHECKING:
    import requests

RETRIES = 4
BACKOFF = 0.5  # seconds, doubled at each retry
BUSY = (429, 500, 502, 503, 504)
LONGEST_WAIT = 60.0
"""Seconds that a server may ask us to wait before the next try."""
SLOWEST = 1000.0
"""Bytes per second below which a transfer counts as broken."""
PATIENCE = 60.0
"""Seconds of waiting over which the rate is measured."""

Ask = Callable[[str, dict[str, str]], "requests.Response"]


class BoundedRetry(Retry):
    """urllib3's retries, which would sleep as long as a server's Retry-After asks: six hours by default."""

    def get_retry_after(self, response: object) -> float | None:
        """The seconds to wait. Raises DataError for more than LONGEST_WAIT."""
        wait: float | None = super().get_retry_after(response)  # type: ignore[arg-type]
        if wait is not None and wait > LONGEST_WAIT:
            answer: Any = response
            raise DataError(
                f"the data's server answers with HTTP status {answer.status} and Retry-After: "
                f"{answer.headers['Retry-After']}, expected at most {LONGEST_WAIT:.0f} seconds: run the same command "
                "again later, it resumes"
            )
        return wait


def bounded_retry() -> Retry:
    """The retries of one request."""
    return BoundedRetry(RETRIES, backoff_factor=BACKOFF, status_forcelist=BUSY, raise_on_status=False)


def validator_of(response: requests.Response) -> str | None:
    """What the server says that changes with the file: its ETag, else its time of change."""
    etag: str | None = response.headers.get("ETag")
    return etag.removeprefix("W/") if etag else response.headers.get("Last-Modified")


class Body(io.RawIOBase):
    """The body of the answer of `url`.

    ask: sends a request for the url with further headers. A transfer that breaks, or that brings less than SLOWEST
    over PATIENCE seconds, resumes at its last byte, if the server can do so and the file is the same; tries are counted
    anew once bytes have come.
    """

    def __init__(self, ask: Ask, url: str, response: requests.Response) -> None:
        self._ask, self._url, self._response = ask, url, response
        self._validator = validator_of(response)
        self._done = 0
        self._retries = RETRIES
        self._waited, self._received = 0.0, 0  # since the rate was last looked at

    def readable(self) -> bool:
        """Always: it is read forward once."""
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Read what has come, at most len(buffer) bytes; 0 at the end. Raises DataError for a broken transfer."""
        while True:
            started = time.monotonic()
            try:
                chunk = self._response.raw.read1(len(buffer)) or b""  # checks Content-Length
                self._check_rate(len(chunk), time.monotonic() - started)
            except (HTTPError, OSError) as error:
                self._resume(error)
                self._waited += time.monotonic() - started
                continue
            buffer[: len(chunk)] = chunk
            self._done += len(chunk)
            self._retries = RETRIES if chunk else self._retries
            return len(chunk)

    def _check_rate(self, received: int, waited: float) -> None:
        self._received, self._waited = self._received + received, self._waited + waited
        if self._waited < PATIENCE:
            return
        rate, self._received, self._waited = self._received / self._waited, 0, 0.0
        if rate < SLOWEST:
            raise DataError(
                f"{self._url} is sent at {rate:,.0f} bytes per second over {PATIENCE:.0f} seconds, expected at least "
                f"{SLOWEST:,.0f}: run the same command again later, it resumes"
            )

    def _resume(self, error: Exception) -> None:
        self._response.close()
        if self._retries and self._validator:
            time.sleep(BACKOFF * 2 ** (RETRIES - self._retries))
            self._retries -= 1
            rest = {"Range": f"bytes={self._done}-", "If-Range": self._validator}
            self._response = self._ask(self._url, rest)
            if self._response.status_code == 206:
                return self._check_part()
            if self._response.ok and validator_of(self._response) != self._validator:
                raise DataError(f"{self._url} was replaced while it was read: run the same command again") from error
        raise DataError(f"{self._url} was cut short after {self._done} bytes: {error}") from error

    def _check_part(self) -> None:
        """Raises DataError for a part of another file, or from another place than asked for."""
        part = self._response.headers.get("Content-Range", "")
        match = re.match(r"bytes (\d+)-", part)
        if match is None or int(match[1]) != self._done:
            raise DataError(
                f"{self._url}: asked for the bytes from {self._done} on, the server sent {part or 'no Content-Range'}"
            )
        if (validator := validator_of(self._response)) not in (None, self._validator):
            raise DataError(f"{self._url} was replaced while it was read: got {validator}, expected {self._validator}")

    def close(self) -> None:
        """End the transfer."""
        self._response.close()
        super().close()
