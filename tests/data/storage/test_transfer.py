"""The stream of an http body by itself: what it waits for, how often it tries again, and what it takes for the rest."""

import io

import pytest
from urllib3.response import HTTPResponse

from mlcd_eval.data.storage import transfer
from mlcd_eval.data.storage.transfer import Body, bounded_retry, validator_of
from mlcd_eval.errors import DataError


class Answer:
    """A response whose body is some pieces, of which an exception is raised."""

    def __init__(self, *pieces, status=200, **headers):
        self.pieces, self.status_code, self.ok = list(pieces), status, status < 400
        self.headers = {name.replace("_", "-"): value for name, value in {"ETag": '"v1"', **headers}.items()}
        self.raw, self.closed = self, False

    def read1(self, most):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self):
        self.closed = True


BROKEN = OSError("broken")


@pytest.fixture
def slept(monkeypatch):
    """The seconds of each sleep, which takes none."""
    naps = []
    monkeypatch.setattr(transfer.time, "sleep", naps.append)
    return naps


def body(first, *others):
    """The stream, and what it asks for."""
    asked, answers = [], list(others)

    def ask(url, headers):
        asked.append((url, headers))
        return answers.pop(0)

    return Body(ask, "http://x/a.tar", first), asked


def part(*pieces, begin, **headers):
    return Answer(*pieces, status=206, Content_Range=f"bytes {begin}-9/10", **headers)


def test_the_rest_is_asked_for_and_tries_are_counted_anew_once_bytes_came(slept):
    first = Answer(b"ab", BROKEN)
    stream, asked = body(first, part(BROKEN, begin=2), part(b"c", BROKEN, begin=2), part(b"d", begin=3))
    assert io.BufferedReader(stream).read() == b"abcd" and first.closed and stream.readable()
    assert asked == [("http://x/a.tar", {"Range": f"bytes={done}-", "If-Range": '"v1"'}) for done in (2, 2, 3)]
    assert slept == [0.5, 1.0, 0.5]


def test_four_tries_without_a_byte_are_the_end(slept):
    stream, asked = body(Answer(b"ab", BROKEN), *[part(BROKEN, begin=2) for _ in range(9)])
    with pytest.raises(DataError, match=r"^http://x/a.tar was cut short after 2 bytes: broken$"):
        io.BufferedReader(stream).read()
    assert len(asked) == 4 and slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("first", "rest", "message"),
    [
        ({"ETag": ""}, None, "was cut short after 2 bytes"),  # nothing says that the rest would be of this file
        ({}, Answer(b"abcd"), "was cut short after 2 bytes"),  # the whole again: the server knows no parts
        ({}, Answer(b"abcd", ETag='"v2"'), "was replaced while it was read: run the same command again"),
        ({}, Answer(status=503, ETag='"v2"'), "was cut short after 2 bytes"),
        ({}, Answer(status=206), "asked for the bytes from 2 on, the server sent no Content-Range"),
        ({}, part(begin=3), "asked for the bytes from 2 on, the server sent bytes 3-9/10"),
        ({}, part(begin=2, ETag='"v2"'), 'was replaced while it was read: got "v2", expected "v1"'),
    ],
)
def test_what_is_not_the_rest_is_refused(slept, first, rest, message):
    stream, asked = body(Answer(b"ab", BROKEN, **first), rest)
    with pytest.raises(DataError, match=message):
        io.BufferedReader(stream).read()
    assert len(asked) == len(slept) == (rest is not None)


def test_a_part_that_says_nothing_of_its_file_is_taken(slept):
    stream, _ = body(Answer(b"ab", BROKEN), part(b"cd", begin=2, ETag=""))
    assert io.BufferedReader(stream).read() == b"abcd"


def test_an_etag_without_its_weakness_else_the_time_of_change_tells_files_apart():
    assert validator_of(Answer(ETag='W/"a"', Last_Modified="then")) == '"a"'
    assert validator_of(Answer(ETag="", Last_Modified="then")) == "then" and validator_of(Answer(ETag="")) is None


@pytest.mark.parametrize(("bytes_per_read", "fails"), [(999, True), (1001, False)])
def test_a_thousand_bytes_per_second_over_a_minute_are_enough(monkeypatch, bytes_per_read, fails):
    now = iter(range(1000))
    monkeypatch.setattr(transfer.time, "monotonic", lambda: next(now))  # each read takes a second
    stream, _ = body(Answer(*[b"x" * bytes_per_read] * 130))
    buffer = bytearray(4096)
    for _ in range(59):
        assert stream.readinto(buffer) == bytes_per_read
    if fails:
        with pytest.raises(DataError, match="is sent at 999 bytes per second over 60 seconds, expected at least 1,000"):
            stream.readinto(buffer)
        return
    for _ in range(71):
        assert stream.readinto(buffer) == bytes_per_read
    assert stream.readinto(buffer) == 0  # the end; a minute was measured twice, each by itself


def test_time_without_bytes_counts(monkeypatch, slept):
    now = iter([0, 57, 60, 63])  # a failure after 57 seconds, then 3
    monkeypatch.setattr(transfer.time, "monotonic", lambda: next(now))
    stream, _ = body(Answer(BROKEN), part(b"x", begin=0))
    with pytest.raises(DataError, match="is sent at 0 bytes per second"):
        stream.readinto(bytearray(9))


def test_waits_that_a_server_asks_for_are_bounded():
    retry = bounded_retry()
    assert (retry.total, retry.backoff_factor, retry.raise_on_status) == (4, 0.5, False)
    assert set(retry.status_forcelist) == {429, 500, 502, 503, 504}

    def answer(wait):
        return HTTPResponse(status=429, headers={"Retry-After": wait} if wait else {})

    assert [retry.get_retry_after(answer(wait)) for wait in (None, "0", "60")] == [None, 0, 60]
    with pytest.raises(
        DataError, match="answers with HTTP status 429 and Retry-After: 61, expected at most 60 seconds"
    ):
        retry.get_retry_after(answer("61"))


def test_closing_ends_the_transfer():
    answer = Answer(b"ab")
    stream, _ = body(answer)
    stream.close()
    assert answer.closed and stream.closed
