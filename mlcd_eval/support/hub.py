"""The Hugging Face hub as its library reaches it: switched off, or given up after seconds if it does not answer."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlcd_eval.errors import UserError

if TYPE_CHECKING:
    import httpx2

CONNECT, READ = 3.0, 4.0
"""Seconds that the first request may take to connect, and to get its first byte."""
FORGET = 60.0
"""Seconds after which a hub that did not answer is asked again."""


class HubContact:
    """Whether the hub answers. Until it has, requests get short time limits, and after a failure they fail at once.

    The hub's library by itself tries six times, for up to a minute and a half, and libraries on top of it try again.
    """

    def __init__(self, connect: float = CONNECT, read: float = READ) -> None:
        self.connect, self.read = connect, read
        self.answered = False
        self._failure: tuple[float, str] | None = None

    @property
    def failure(self) -> str | None:
        """Why the last request failed, None if it was answered or long ago."""
        recent = self._failure is not None and time.monotonic() - self._failure[0] < FORGET
        return self._failure[1] if recent and self._failure is not None else None

    def client(self) -> httpx2.Client:
        """Return the library's own client with these limits."""
        from huggingface_hub.utils._http import default_client_factory

        client = default_client_factory()
        client.send = functools.partial(self._send, client.send)  # type: ignore[method-assign]
        return client

    def _send(self, send: Any, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Raise OfflineModeIsEnabled, which no library retries, in place of a transport error."""
        import httpx2
        from huggingface_hub.errors import OfflineModeIsEnabled

        if self.answered:
            return send(request, **options)
        if self.failure is not None:
            raise OfflineModeIsEnabled(self.failure)
        limits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = limits | {"connect": self.connect, "read": self.read}
        try:
            _resolve(request.url.host, self.connect)
            response = send(request, **options)
        except (httpx2.TransportError, OSError) as error:
            reason = f"{request.url.scheme}://{request.url.netloc.decode()} does not answer ({_reason(error)})"
            self._failure = time.monotonic(), reason
            raise OfflineModeIsEnabled(reason) from error
        request.extensions["timeout"] = limits
        self.answered = True
        return response


@functools.cache
def contact() -> HubContact:
    """Return this process's contact, which the hub's library uses from then on."""
    from huggingface_hub import set_client_factory

    hub = HubContact()
    set_client_factory(hub.client)
    return hub


@contextlib.contextmanager
def hub_access(offline: bool) -> Iterator[None]:
    """Within the block the hub's files come from its local cache alone if offline, whichever library asks for them. A
    UserError for a file that is missing because the hub does not answer says so in one sentence."""
    from huggingface_hub import constants

    hub = contact()
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline  # read at each request; there is no other way
    try:
        yield
    except UserError as error:
        if offline or hub.failure is None or not _for_lack_of_hub(error):
            raise
        what = str(error).partition(": ")[0]
        raise type(error)(f"{what}: {hub.failure}, and its files are not in the local cache") from error
    finally:
        constants.HF_HUB_OFFLINE = before


def _for_lack_of_hub(error: BaseException) -> bool:
    """Whether an error was caused by a file that only the hub has."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (LocalEntryNotFoundError, ConnectionError)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _resolve(host: str, limit: float) -> None:
    """Raise TimeoutError if the host's name takes too long to resolve: a resolver's own limits are out of reach.

    Where a proxy resolves names, a failure here says nothing, so that only the time counts.
    """
    import socket

    done = threading.Event()

    def resolve() -> None:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(host, None)
        done.set()

    threading.Thread(target=resolve, daemon=True).start()
    if not done.wait(limit):
        raise TimeoutError("its name takes too long to resolve")


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
