"""One attempt against a real receiver: what becomes of it, over which connection, to which address."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest

from streamlimit.settings import EVENT_TYPES
from streamlimit.webhooks.addresses import Addresses
from streamlimit.webhooks.endpoint import Endpoint
from streamlimit.webhooks.sender import Failed, Outcome, Sender, Sent, Unwanted
from tests.webhooks.receiver import SECRET, Receiver, Reply
from tests.webhooks.test_endpoint import EVENT


def attempts(
    url: str, count: int = 1, allow_private: bool = True, resolve: object = None, seconds: float = 20.0
) -> list[Outcome]:
    async def run() -> list[Outcome]:
        addresses = Addresses(allow_private, resolve)  # type: ignore[arg-type]
        sender = Sender(Endpoint(url, [SECRET], EVENT_TYPES), addresses, timeout_seconds=seconds)
        try:
            return [await sender.send(EVENT) for _ in range(count)]
        finally:
            await sender.close()

    return asyncio.run(run())


def pointing_to(*addresses: str) -> Callable[[str], Awaitable[list[str]]]:
    async def resolve(name: str) -> list[str]:
        return list(addresses)

    return resolve


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_sent(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda event: Reply(status)
    assert attempts(receiver.url) == [Sent()]
    assert [got.id for got in receiver.got] == [EVENT.id]
    assert receiver.invalid == []


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 409, 422, 429, 500, 502, 503])
def test_anything_else_failed_and_nothing_is_followed(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda event: Reply(status, {"Location": receiver.url + "/elsewhere"})
    assert attempts(receiver.url) == [Failed(f"status {status}")]
    assert len(receiver.got) == 1


def test_410_is_a_no_for_good(receiver: Receiver) -> None:
    receiver.answer = lambda event: Reply(410)
    assert attempts(receiver.url) == [Unwanted()]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heard(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda event: Reply(status, {"Retry-After": "17"})
    assert attempts(receiver.url) == [Failed(f"status {status}", 17.0)]
    receiver.answer = lambda event: Reply(status, {"Retry-After": formatdate(time.time() + 100, usegmt=True)})
    [outcome] = attempts(receiver.url)
    assert isinstance(outcome, Failed)
    assert outcome.wait_seconds is not None
    assert 90 < outcome.wait_seconds <= 100


@pytest.mark.parametrize(("text", "seconds"), [("soon", None), ("-5", None), ("99999999999", 86_400.0)])
def test_a_strange_retry_after_does_no_harm(receiver: Receiver, text: str, seconds: float | None) -> None:
    receiver.answer = lambda event: Reply(503, {"Retry-After": text})
    assert attempts(receiver.url) == [Failed("status 503", seconds)]


def test_no_answer_in_time_is_a_failure(receiver: Receiver) -> None:
    receiver.answer = lambda event: Reply(204, after=1.0)
    assert attempts(receiver.url, seconds=0.4) == [Failed("timed out")]


def test_an_answer_that_trickles_in_takes_no_longer_than_any_other() -> None:
    """Each byte comes in good time; the whole never ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 204 No Content\r\n" + b"x: y\r\n" * 1_000:
                    connection.sendall(bytes((byte,)))
                    time.sleep(0.05)

        threading.Thread(target=trickle, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert attempts(url, seconds=0.6) == [Failed("timed out")]


def test_a_cut_connection_is_a_failure(receiver: Receiver) -> None:
    receiver.answer = lambda event: Reply(0)
    assert attempts(receiver.url) == [Failed("connection lost")]


def test_where_nobody_listens_is_a_failure(receiver: Receiver) -> None:
    receiver.stop()
    assert attempts(receiver.url) == [Failed("no connection")]
    receiver.start()


def test_a_name_that_nobody_knows_is_a_failure() -> None:
    async def resolve(name: str) -> list[str]:
        raise OSError("no such name")

    assert attempts("http://nowhere.example/", resolve=resolve) == [Failed("name not found")]


def test_connections_are_used_again(receiver: Receiver) -> None:
    receiver.answer = lambda event: Reply(500 if len(receiver.got) % 2 else 204)
    attempts(receiver.url, 10)
    assert (len(receiver.got), receiver.connections) == (10, 1)


def test_a_private_address_is_not_called_unless_allowed(receiver: Receiver) -> None:
    refused = [Failed("the endpoint is at a private address")]
    assert attempts(receiver.url, allow_private=False) == refused
    url = f"http://hooks.example:{receiver.port}/hook"
    assert attempts(url, allow_private=False, resolve=pointing_to("127.0.0.1", "::ffff:127.0.0.1")) == refused
    assert receiver.connections == 0


def test_the_checked_address_is_called_with_the_name_in_host(receiver: Receiver) -> None:
    hosts = []
    take = receiver.take
    receiver.take = lambda headers, body: (hosts.append(headers["host"]), take(headers, body))[1]  # type: ignore[method-assign]
    url = f"http://hooks.example:{receiver.port}/hook"
    assert attempts(url, resolve=pointing_to("127.0.0.1")) == [Sent()]
    assert hosts == [f"hooks.example:{receiver.port}"]


def test_the_next_address_is_tried_where_the_first_takes_no_connection(receiver: Receiver) -> None:
    url = f"http://hooks.example:{receiver.port}/hook"
    assert attempts(url, resolve=pointing_to("127.0.0.2", "127.0.0.1")) == [Sent()]


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert attempts(receiver.url) == [Sent()]


def test_nothing_of_url_body_or_secret_is_logged(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    attempts(receiver.url + "?token=hidden")
    assert caplog.text == ""
