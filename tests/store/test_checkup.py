"""The messages of `streamlimit check-config` about stores, on real servers that are wrong in every known way."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamlimit.bootstrap.store import check_store
from streamlimit.errors import SettingsError, StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Receipt
from streamlimit.policy import Policy
from streamlimit.settings import Settings
from streamlimit.store.diagnosis import MEANINGS, in_words
from streamlimit.store.valkey import ValkeyStore, check
from streamlimit.store.valkey.checkup import failure_of, judge
from tests import launcher, servers
from tests.ports import free_port
from tests.store.secured import Secured, Watched, secured, watched

ACL = ("on", ">secret", "~streamlimit:*", "+@all", "-@admin", "-@dangerous", "+info")
"""What docs/how-to/many-machines.md tells."""

SLOW = Policy(segment_ms=60_000, start_ms=60_000)


@pytest.fixture(scope="module")
def tls() -> Iterator[Secured]:
    with secured() as one:
        yield one


@pytest.fixture(scope="module")
def sentinels() -> Iterator[Watched]:
    with watched() as five:
        yield five


def said(url: str) -> list[str]:
    """The notes."""
    return asyncio.run(check(url))


def wrong(url: str) -> str:
    """What is wrong with the setting."""
    with pytest.raises(SettingsError) as found:
        said(url)
    return str(found.value)


def away(url: str) -> str:
    """Why nobody answers, though that may change."""
    with pytest.raises(StoreUnavailable) as found:
        said(url)
    return str(found.value)


async def seat_and_confirm(url: str) -> None:
    """The whole way of a segment."""
    store = ValkeyStore(url, SLOW, timeout=5)
    decision = await store.admit(Ask("ada", "tv", "film", lease_id="l"))
    assert isinstance(decision, Admitted)
    assert decision.lease is not None
    assert isinstance(await store.confirm(Receipt(decision.lease, "s-1", 1)), Confirmed)
    await store.ping()
    await store.close()


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class TestPlain:
    """One server, no secrets."""

    @pytest.mark.parametrize("kind", ["redis", "valkey"])
    def test_nothing_is_said_of_one_that_is_fine(self, kind: str) -> None:
        with servers.single(kind) as one:
            assert said(one.url) == []

    def test_nothing_listens_there(self) -> None:
        port = free_port()
        assert f"127.0.0.1:{port}: nothing listens there" in away(f"valkey://127.0.0.1:{port}")

    def test_a_name_that_nobody_knows(self) -> None:
        assert "nowhere.invalid:6379: the name of its host" in wrong("valkey://nowhere.invalid")

    def test_one_that_says_nothing(self) -> None:
        with silent() as port:
            assert "does not answer in time" in away(f"valkey://127.0.0.1:{port}")

    def test_one_that_is_no_cluster(self, server: servers.Server) -> None:
        assert "is no cluster: valkey://" in wrong(server.url.replace("valkey://", "valkey+cluster://"))

    def test_a_replica(self, server: servers.Server) -> None:
        port = free_port()
        server.client.replicaof("127.0.0.1", port)
        try:
            assert f"read-only replica answers, not the primary; that is 127.0.0.1:{port}" in wrong(server.url)
        finally:
            server.client.replicaof("no", "one")

    def test_a_policy_that_evicts_is_noted(self, server: servers.Server) -> None:
        server.client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            (note,) = said(server.url)
            assert "maxmemory-policy is allkeys-lru" in note
        finally:
            server.client.config_set("maxmemory-policy", "noeviction")

    def test_one_that_is_too_old(self) -> None:
        with pytest.raises(SettingsError, match=r"it is Redis 6\.2\.14: 7\.0 or later"):
            judge(("old", 6379), {"redis_version": "6.2.14"})
        assert judge(("new", 6379), {"redis_version": "7.2.4", "valkey_version": "9.1.2"}) == []


class TestUsers:
    """Passwords and ACL users in the URL."""

    def test_a_password_is_wanted_wrong_and_right(self, server: servers.Server) -> None:
        server.client.config_set("requirepass", "p@ss/word")
        try:
            assert "it wants a password" in wrong(server.url)
            assert "does not accept the user or the password" in wrong(server.url.replace("://", "://:nope@"))
            assert said(server.url.replace("://", "://:p%40ss%2Fword@")) == []
        finally:
            server.client.config_set("requirepass", "")

    def test_an_acl_user_on_our_keys_is_all_that_is_needed(self, server: servers.Server) -> None:
        server.client.execute_command("ACL", "SETUSER", "worker", *ACL)
        url = server.url.replace("://", "://worker:secret@")
        assert said(url) == []
        asyncio.run(seat_and_confirm(url))

    def test_one_who_may_do_nothing_is_told_so(self, server: servers.Server) -> None:
        server.client.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "~other:*", "-@all", "+ping")
        assert "may not do what is needed" in wrong(server.url.replace("://", "://guest:secret@"))

    def test_one_who_may_run_no_script_is_told_so(self, server: servers.Server) -> None:
        server.client.execute_command("ACL", "SETUSER", "reader", *ACL, "-evalsha")
        store = server.url.replace("://", "://reader:secret@")
        assert said(store) == []  # no info says so: only a script does
        with pytest.raises(StoreUnavailable, match=r"NOPERM .*evalsha"):
            asyncio.run(check_store(Settings(store=store)))


class TestTls:
    """A server with a certificate of an authority of its own."""

    def test_with_its_authority_it_is_fine_and_works(self, tls: Secured) -> None:
        for host in ("127.0.0.1", "localhost"):
            url = f"valkeys://{host}:{tls.tls_port}?ca={tls.authority.ca}"
            assert said(url) == []
            asyncio.run(seat_and_confirm(url))
        assert said(f"rediss://127.0.0.1:{tls.tls_port}?verify=false") == []

    def test_without_it_is_not_trusted(self, tls: Secured) -> None:
        assert "certificate is not trusted: name its authority with ?ca=" in wrong(
            f"valkeys://127.0.0.1:{tls.tls_port}"
        )

    def test_tls_and_plain_are_told_apart(self, tls: Secured, server: servers.Server) -> None:
        assert "perhaps it wants TLS" in wrong(f"valkey://127.0.0.1:{tls.tls_port}")
        assert "does not speak TLS" in away(f"valkeys://127.0.0.1:{server.port}?verify=false")

    def test_user_and_password_over_tls(self, tls: Secured) -> None:
        tls.server.client.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "~streamlimit:*", "+@all")
        address = f"127.0.0.1:{tls.tls_port}?ca={tls.authority.ca}"
        asyncio.run(seat_and_confirm(f"valkeys://worker:secret@{address}"))
        assert "does not accept" in wrong(f"valkeys://worker:wrong@{address}")

    def test_a_clients_certificate(self) -> None:
        with secured(wants_client_certificate=True) as strict:
            folder = strict.authority.folder
            url = f"valkeys://127.0.0.1:{strict.tls_port}?ca={strict.authority.ca}"
            assert "certificate" in wrong(url)
            asyncio.run(seat_and_confirm(f"{url}&cert={folder}/worker.pem&key={folder}/worker.key"))

    @pytest.mark.parametrize(
        ("by_tls", "wants"), [(True, "a client's certificate: ?cert="), (False, "TLS (valkeys://)")]
    )
    def test_who_is_reset_is_told_what_may_be_wanted(self, by_tls: bool, wants: str) -> None:
        reset = ConnectionResetError("[Errno 104] Connection reset by peer")
        assert f"perhaps it wants {wants}" in str(failure_of(reset, "films", by_tls))


class TestCluster:
    """Three primaries and three replicas."""

    def test_one_that_is_fine(self, cluster: servers.Cluster) -> None:
        assert said(cluster.url) == []

    def test_the_acl_user_does_for_a_cluster_too(self, cluster: servers.Cluster) -> None:
        for server in cluster.servers:
            server.client.execute_command("ACL", "SETUSER", "worker", *ACL)
        url = cluster.url.replace("://", "://worker:secret@")
        assert said(url) == []
        asyncio.run(seat_and_confirm(url))

    def test_a_host_that_is_away_is_noted(self, cluster: servers.Cluster) -> None:
        (note,) = said(f"{cluster.url},127.0.0.1:{free_port()}")
        assert "nothing listens there" in note

    def test_a_node_is_not_one_server(self, cluster: servers.Cluster) -> None:
        url = cluster.servers[0].url
        assert "part of a cluster: valkey+cluster:// instead" in wrong(url)

    def test_every_primary_is_looked_at(self, cluster: servers.Cluster) -> None:
        for server in cluster.primaries():
            server.client.config_set("maxmemory-policy", "volatile-ttl")
        assert len(said(cluster.url)) == 3
        for server in cluster.primaries():
            server.client.config_set("maxmemory-policy", "noeviction")


class TestSentinel:
    """A primary, its replica, three sentinels."""

    def test_one_that_is_fine_and_a_name_that_they_do_not_know(self, sentinels: Watched) -> None:
        assert said(sentinels.url) == []
        assert "know no primary of that name" in away(sentinels.url.replace("/films", "/songs"))

    async def test_the_new_primary_is_found_when_the_old_one_dies(self, sentinels: Watched) -> None:
        store = ValkeyStore(sentinels.url, SLOW)
        decision = await until_it_answers(store, "before")
        await asyncio.to_thread(servers.wait_until, lambda: has_all(sentinels), "the replica to be in step")
        sentinels.primary.kill()
        await until_it_answers(store, "after")
        roster = await store.sessions("before")
        assert [session.session_id for session in roster.sessions] == ["tv"]
        assert decision.session is not None
        await store.close()


class TestCommand:
    """`streamlimit check-config`."""

    def run(self, folder: Path, store: str) -> tuple[int, str, str]:
        return launcher.run(["check-config", f"--store={store}"], folder)

    def test_it_says_what_is_fine_what_could_be_better_and_what_is_wrong(
        self, server: servers.Server, tmp_path: Path
    ) -> None:
        code, out, err = self.run(tmp_path, server.url)
        assert (code, err) == (0, "")
        assert "the store answers" in out
        server.client.config_set("maxmemory-policy", "allkeys-lru")
        code, _, err = self.run(tmp_path, server.url)
        server.client.config_set("maxmemory-policy", "noeviction")
        assert (code, err.startswith("note: 127.0.0.1:")) == (0, True)
        code, _, err = self.run(tmp_path, server.url.replace("valkey://", "valkey+cluster://"))
        assert code == 2
        assert err.startswith(f"streamlimit: store: 127.0.0.1:{server.port}: it is no cluster")
        code, _, err = self.run(tmp_path, f"valkey://127.0.0.1:{free_port()}")
        assert code == 1
        assert "nothing listens there" in err
        assert "Traceback" not in err


def has_all(sentinels: Watched) -> bool:
    """Has the replica what the primary has?"""
    offsets = {sentinels.primary.info("master_repl_offset"), sentinels.replica.info("slave_repl_offset")}
    return len(offsets) == 1


async def until_it_answers(store: ValkeyStore, user: str) -> Admitted:
    for _ in range(300):
        try:
            decision = await store.admit(Ask(user, "tv", "film", lease_id="l"))
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            assert isinstance(decision, Admitted)
            return decision
    raise AssertionError("the sentinels promoted nobody")


def test_every_meaning_is_found_by_its_sign_and_names_no_host() -> None:
    for sign, words in MEANINGS:
        assert in_words(f"valkey: 10.1.2.3:6379: {sign} and more") in {w for _, w in MEANINGS}
        assert "10.1.2.3" not in words
    assert in_words("something quite new") == "it does not answer"
