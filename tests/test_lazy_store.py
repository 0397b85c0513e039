"""A service that starts in an outage of its store serves what needs no store at once, and the rest after it."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.webhooks import open_outbox
from streamlimit.errors import SettingsError, StoreLocked, StoreUnavailable
from streamlimit.model import Ask, Lease, Receipt
from streamlimit.policy import Policy
from streamlimit.settings import Settings, key_hash
from streamlimit.settings.callback import Callback
from streamlimit.store.sqlite import SqliteStore, opened
from streamlimit.store.sqlite.lazy_store import REST_SECONDS, LazyStore
from streamlimit.web.auth import Authenticator, Key
from streamlimit.web.grants import BadGrant, Grants
from streamlimit.web.identity import Identity
from streamlimit.web.problems import Problem
from streamlimit.web.token_keys import BadToken
from tests.needs import needs
from tests.ports import free_port
from tests.servers import Server
from tests.service import OPERATOR_KEY, Answer, Service, await_readiness, started, wait_until

LOOSE_GRANT = Grants(["some other key"], 3_600).sign("ann", "phone")


@contextmanager
def _locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process holds all of the file, or will make it: nobody can even read it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def _is_503(answer: Answer) -> bool:
    return (answer.status, answer.json["code"], "retry-after" in answer.headers) == (503, "store-unavailable", True)


def _require_patience(service: Service, reason: str) -> None:
    """It lives and says why it does nothing; a grant may be good, so it is not called a bad one."""
    assert service.get("/healthz").status == 200
    unready = service.get("/readyz")
    assert _is_503(unready)
    assert reason in unready.json["detail"]
    session = {"user_id": "ann", "session_id": "phone", "stream_id": "orchard"}
    bearer = {"Authorization": f"Bearer {LOOSE_GRANT}"}
    assert _is_503(service.segment("ann", "phone", "orchard"))
    assert _is_503(service.post("/v1/sessions", session))
    assert _is_503(service.get(f"/play/{LOOSE_GRANT}/orchard/master.m3u8"))
    assert _is_503(service.post("/v1/segments", session, headers=bearer))
    assert _is_503(service.get("/v1/users/ann/sessions", headers=bearer))
    assert service.get("/metrics", key=OPERATOR_KEY).status == 200


def _require_all(service: Service) -> None:
    opened = service.post("/v1/sessions", {"user_id": "ann", "session_id": "phone", "stream_id": "orchard"})
    assert opened.status == 201
    assert service.get(opened.json["playback_url"]).status == 200
    assert service.get(f"/play/{LOOSE_GRANT}/orchard/master.m3u8").status == 401, "now it is known to be a bad one"
    assert service.post("/v1/expirations", key=OPERATOR_KEY).status == 200


def _said(service: Service, event: str) -> int:
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return sum(line["event"] == event for line in lines)


def _require_quick_end(service: Service) -> None:
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(20) in (0, -signal.SIGTERM)
    assert "Traceback" not in service.log()


def test_valkey_that_comes_after_the_start(tmp_path: Path) -> None:
    needs("redis-server")
    port = free_port()
    with started(tmp_path, awaited="/healthz", store=f"redis://127.0.0.1:{port}/0") as service:
        _require_patience(service, "refused")
        time.sleep(2)  # some tries in vain
        server = Server("redis-server", port, str(tmp_path))
        try:
            await_readiness(service)
            time.sleep(1.5)
            _require_all(service)
            assert (_said(service, "store_away"), _said(service, "store_back")) == (1, 1)
            _require_quick_end(service)
        finally:
            server.stop()


def test_a_file_that_another_process_holds_at_the_start(tmp_path: Path) -> None:
    callbacks = [{"url": "http://127.0.0.1:9/hook", "secret": "s"}]
    with _locked(tmp_path / "streamlimit.db") as other:
        more: dict[str, Any] = {"callbacks": callbacks, "allow_private_callbacks": True}
        with started(tmp_path, awaited="/healthz", **more) as service:
            _require_patience(service, "another process holds the file")
            time.sleep(2)
            other.execute("ROLLBACK")
            await_readiness(service)
            time.sleep(3)
            _require_all(service)
            assert (_said(service, "store_away"), _said(service, "store_back")) == (1, 1)
            _require_quick_end(service)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_it_while_the_store_is_away(tmp_path: Path, workers: int) -> None:
    store = f"redis://127.0.0.1:{free_port()}/0"
    with started(tmp_path, awaited="/healthz", store=store, workers=workers) as service:
        wait_until(lambda: _said(service, "store_away") == workers, 10, "a line of each worker, though nobody asked")
        _require_quick_end(service)


def test_sigterm_ends_it_while_its_file_is_locked(tmp_path: Path) -> None:
    with _locked(tmp_path / "streamlimit.db"), started(tmp_path, awaited="/healthz") as service:
        wait_until(lambda: _said(service, "store_away") == 1, 10, "the line that says so, though nobody asked")
        _require_quick_end(service)


def test_sigterm_ends_it_while_a_server_hangs(tmp_path: Path) -> None:
    needs("redis-server")
    server = Server("redis-server", free_port(), str(tmp_path))
    try:
        server.hang()
        with started(tmp_path, awaited="/healthz", store=server.url) as service:
            assert _is_503(service.get(f"/play/{LOOSE_GRANT}/orchard/master.m3u8"))
            _require_quick_end(service)
    finally:
        server.stop()


# Grants without keys


def test_without_keys_nothing_is_said_of_a_grant() -> None:
    grants = Grants([], 60)
    for attempt in (lambda: grants.sign("u", "s"), lambda: grants.verify("x.y.z"), lambda: grants.read(LOOSE_GRANT)):
        with pytest.raises(StoreUnavailable):
            attempt()
    grants.learn(["the key at last"])
    assert grants.verify(grants.sign("u", "s")).session_id == "s"
    with pytest.raises(BadGrant):
        grants.read(LOOSE_GRANT)


class Provider:
    """Knows one token of a viewer."""

    async def verify(self, token: str) -> Identity:
        if token != "a-viewers-token":
            raise BadToken("this is no token of ours")
        return Identity("ann", time.time() + 60)


async def test_a_viewers_token_is_one_before_the_keys_of_grants_are_known() -> None:
    grants = Grants([], 60)
    authenticator = Authenticator(grants, [Key(key_hash("an-operator-key"), "operator")])
    authenticator.verifier = Provider()  # type: ignore[assignment]  # as much of one as is called
    assert (await authenticator.identify(b"Bearer a-viewers-token")).user_id == "ann"
    assert (await authenticator.identify(b"Bearer an-operator-key")).role == "operator"
    with pytest.raises(StoreUnavailable):
        await authenticator.identify(f"Bearer {LOOSE_GRANT}".encode())
    grants.learn(["the key at last"])
    with pytest.raises(Problem, match="unauthenticated"):
        await authenticator.identify(f"Bearer {LOOSE_GRANT}".encode())
    assert (await authenticator.identify(f"Bearer {grants.sign('ann', 'tv')}".encode())).session_id == "tv"


# A file that is opened late


def test_a_late_file_is_tried_now_and_then_until_it_is_let_go(tmp_path: Path) -> None:
    path, now, tries = tmp_path / "store.db", [0.0], list[int]()

    def make() -> SqliteStore:
        tries.append(1)
        return SqliteStore(str(path), Policy())

    lease = Lease(Ask("u", "s", "film", lease_id="l"), 1, 0)
    with _locked(path) as other:
        with pytest.raises(StoreLocked) as locked:
            make()
        late: Any = LazyStore(make, locked.value, lambda: now[0])
        heard: list[object] = []
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="locked"):
                late.ping()
        late.report(Receipt(lease), heard.append)
        assert [type(each) for each in heard] == [StoreUnavailable]
        assert len(tries) == 1, "it rests"
        now[0] += REST_SECONDS
        with pytest.raises(StoreUnavailable, match="locked"):
            late.ping()
        assert len(tries) == 2
        late.close()  # nothing is
        other.execute("ROLLBACK")
        with pytest.raises(StoreUnavailable):
            late.ping()
    now[0] += REST_SECONDS
    assert late.secret("name", "made") == "made"
    late.report(Receipt(lease), heard.append)
    assert not isinstance(heard[-1], Exception)
    assert len(tries) == 3
    late.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        late.secret("other", "made")


def test_what_would_never_open_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot open .*No such file"):
        opened(lambda: SqliteStore(str(tmp_path / "no" / "folder.db"), Policy()))


def test_a_worker_whose_file_cannot_be_opened_starts_without_it_and_a_command_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlimit.store.sqlite.lazy_store.REST_SECONDS", 0.0)
    path = tmp_path / "folder" / "store.db"
    settings = Settings(store=f"sqlite:///{path}", callbacks=[Callback(url="https://example.org/", secret="s")])
    policy = settings.policy()
    for unopened in (lambda: engine_of(settings).store(policy), lambda: open_outbox(settings)):
        with pytest.raises(SettingsError, match="No such file"):
            unopened()
    store, outbox = engine_of(settings).store(policy, serves=True), open_outbox(settings, serves=True)
    with pytest.raises(StoreUnavailable, match="No such file"):
        store.ping()
    path.parent.mkdir()
    assert store.ping() is None
    assert [each.pending for each in outbox.backlog()] == [0]  # type: ignore[union-attr]  # a file answers at once
    store.close()
    outbox.close()


def test_a_late_file_of_a_newer_release_is_a_store_that_is_away() -> None:
    def make() -> SqliteStore:
        raise SettingsError("store", "the file was made by a newer streamlimit")

    late: Any = LazyStore(make, StoreLocked("locked"), iter([0.0, 2.0, 2.0]).__next__)
    with pytest.raises(StoreUnavailable, match="newer"):
        late.ping()


def test_a_secret_that_is_there_is_read_while_others_write(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"), Policy())
    assert store.secret("grant-key", "first") == "first"
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.secret("grant-key", "second") == "first"
        with pytest.raises(StoreUnavailable, match="locked"):
            store.secret("another", "made")
    store.close()
