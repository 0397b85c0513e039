"""The Lambda functions under AWS's own runtime client, on a real Valkey server."""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.settings import EVENT_TYPES
from streamlimit.store.valkey import ValkeyOutbox, ValkeyStore
from tests import servers
from tests.aws import runtime
from tests.webhooks.receiver import SECRET, Receiver

if find_spec("awslambdaric") is None:
    servers.missing("no awslambdaric here (make setup)")

QUICK = {"segment_seconds": 0.2, "missed_segments": 3}
POLICY = Policy(segment_ms=200, missed_segments=3, start_ms=200)


@pytest.fixture
def server() -> Iterator[servers.Server]:
    with servers.single("valkey") as running:
        yield running


def seat(url: str, users: int) -> None:
    """So many users with an idle session each, which is due."""

    async def run() -> None:
        store = ValkeyStore(url, POLICY, frozenset(EVENT_TYPES), timeout=5)
        for first in range(0, users, 200):
            some = range(first, min(first + 200, users))
            answers = await asyncio.gather(*(store.admit(Ask(f"u{k}", "tv", "news", lease_id="l")) for k in some))
            leases = [a.lease for a in answers if isinstance(a, Admitted) and a.lease is not None]
            await asyncio.gather(*(store.confirm(Receipt(lease)) for lease in leases))
        await asyncio.sleep(0.7)
        await store.close()

    asyncio.run(run())


def settings(server: servers.Server, receiver: Receiver | None = None) -> dict[str, Any]:
    chosen: dict[str, Any] = QUICK | {"store": server.url}
    if receiver is not None:
        callback = {"url": receiver.url, "secret": SECRET, "name": "hook"}
        chosen |= {"callbacks": [callback], "allow_private_callbacks": True}
    return chosen


def test_an_idle_session_is_expired_and_called_back(server: servers.Server) -> None:
    with Receiver() as receiver:
        seat(server.url, 3)
        with runtime.running("streamlimit.aws.expire", settings(server, receiver)) as expire:
            kind, document = expire.invoke({"source": "aws.scheduler"})
            assert (kind, document["expired"], document["finished"]) == ("response", 3, True)
            assert document["callbacks_pending"] == 6
            assert expire.invoke()[1] == {"expired": 0, "abandoned": 0, "finished": True, "callbacks_pending": 6}
        with runtime.running("streamlimit.aws.deliver", settings(server, receiver)) as deliver:
            kind, document = deliver.invoke()
            assert (kind, document) == ("response", {"sent": 6, "failed": 0, "finished": True, "callbacks_pending": 0})
            assert deliver.invoke()[1]["sent"] == 0
        assert sorted(got.type for got in receiver.accepted) == ["expired"] * 3 + ["started"] * 3
        assert receiver.invalid == []


def test_what_does_not_fit_into_the_time_limit_is_said_and_done_the_next_time(server: servers.Server) -> None:
    seat(server.url, 3_000)
    with runtime.running("streamlimit.aws.expire", settings(server)) as function:
        function.invoke(seconds=0.001)  # so that the function is warm
        calls, expired = 0, 0
        while True:
            kind, document = function.invoke(seconds=0.02)
            assert kind == "response"
            calls, expired = calls + 1, expired + document["expired"]
            if document["finished"]:
                break
        assert calls > 1
        assert function.invoke()[1]["expired"] == 0
    assert expired > 0


def test_sqlite_is_refused_in_words() -> None:
    for handler in ("streamlimit.aws.expire", "streamlimit.aws.deliver"):
        with runtime.running(handler, {"store": "sqlite:///streamlimit.db"}) as function:
            kind, document = function.invoke()
            assert (kind, document["errorType"]) == ("error", "SettingsError")
            assert "SQLite is a file on one machine" in document["errorMessage"]


def test_an_unreachable_store_is_an_error_and_the_next_invocation_tries_anew(server: servers.Server) -> None:
    with runtime.running("streamlimit.aws.expire", settings(server)) as function:
        assert function.invoke()[0] == "response"
        server.stop()
        kind, document = function.invoke()
        assert (kind, document["errorType"]) == ("error", "StoreUnavailable")
        server.restart()
        assert function.invoke()[0] == "response"


def test_delivering_without_call_backs_is_refused_in_words(server: servers.Server) -> None:
    with runtime.running("streamlimit.aws.deliver", settings(server)) as function:
        kind, document = function.invoke()
        assert (kind, document["errorType"]) == ("error", "SettingsError")
        assert "nothing to deliver" in document["errorMessage"]


def test_a_dead_receiver_leaves_the_rest_for_the_next_time(server: servers.Server) -> None:
    receiver = Receiver()
    receiver.start()
    receiver.stop()
    seat(server.url, 5)
    with runtime.running("streamlimit.aws.deliver", settings(server, receiver)) as function:
        kind, document = function.invoke(seconds=10)
        assert (kind, document["sent"]) == ("response", 0)
        assert document["callbacks_pending"] == 5
        assert document["failed"] >= 5
    outbox = ValkeyOutbox(server.url, {"hook": EVENT_TYPES}, timeout=5)

    async def claimed() -> int:
        found = len(await outbox.claim("hook", "t", 100, 1_000))
        await outbox.close()
        return found

    assert asyncio.run(claimed()) <= 5


@pytest.mark.parametrize(
    ("text", "problem"), [('["a"]', "JSON object"), ("plain", "JSON object"), ('{"stoer": "x"}', "no such setting")]
)
def test_a_secret_that_is_no_settings_is_refused(monkeypatch: pytest.MonkeyPatch, text: str, problem: str) -> None:
    from streamlimit import aws
    from streamlimit.errors import SettingsError

    monkeypatch.setattr(aws, "import_module", lambda name: _Boto(text))
    monkeypatch.setenv(aws.SECRET_ID, "streamlimit")
    with pytest.raises(SettingsError, match=problem):
        aws.settings_of_function()


def test_the_secret_holds_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlimit import aws

    monkeypatch.setattr(aws, "import_module", lambda name: _Boto('{"store": "valkeys://u:p@cache:6379"}'))
    monkeypatch.setenv(aws.SECRET_ID, "streamlimit")
    monkeypatch.setenv("STREAMLIMIT_SEGMENT_SECONDS", "4")
    found = aws.settings_of_function()
    assert (found.store, found.segment_seconds) == ("valkeys://u:p@cache:6379", 4)


class _Boto:
    """`botocore.session`, and its Secrets Manager with one secret."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_session(self) -> "_Boto":
        return self

    def create_client(self, name: str) -> "_Boto":
        assert name == "secretsmanager"
        return self

    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        assert SecretId == "streamlimit"
        return {"SecretString": self._text}
