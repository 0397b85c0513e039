"""Client addresses are taken from trusted proxies only, and only as far as the chain of proxies reaches."""

from collections.abc import Iterator

import pytest

from streamlimit.errors import SettingsError
from streamlimit.settings import load_settings
from streamlimit.web.address import Proxies, bare, digest_at, digest_of, place_at
from tests.http.made import made
from tests.service import Service, started, temporary_folder
from tests.web.streams import Client, make_long

TRUSTED = ["10.0.0.0/8", "127.0.0.9", "2001:db8:1::/48"]


def _client(peer: str | None, *forwarded: str, trusted: list[str] = TRUSTED) -> str | None:
    headers = [(b"x-forwarded-for", text.encode("latin-1")) for text in forwarded]
    request = made(headers=headers, client=None if peer is None else (peer, 1))
    Proxies(trusted).reveal(request)
    return request.client[0] if request.client else None


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.1.1.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.1.1.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("10.1.1.1", ["[2001:db8::7]:80"], "2001:db8::7"),
        ("10.1.1.1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.1.1.1", ["203.0.113.7"], "203.0.113.7"),
        ("2001:db8:1::5", ["203.0.113.7"], "203.0.113.7"),
        # What the client wrote itself stands before what our proxies wrote.
        ("10.1.1.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ("10.1.1.1", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        ("10.1.1.1", ["6.6.6.6, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        ("10.1.1.1", ["127.0.0.1, 203.0.113.7, 10.9.9.9, 10.8.8.8"], "203.0.113.7"),
        ("10.1.1.1", ["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        # Nobody is believed who need not be.
        ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", [""], "10.1.1.1"),
        ("10.1.1.1", ["unknown"], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.7, garbage"], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.7, garbage, 10.9.9.9"], "10.9.9.9"),
        ("10.1.1.1", ["é"], "10.1.1.1"),
        (None, ["6.6.6.6"], None),
    ],
)
def test_who_the_client_is(peer: str | None, forwarded: list[str], client: str | None) -> None:
    assert _client(peer, *forwarded) == client


def test_a_unix_socket_is_trusted_by_name() -> None:
    assert _client(None, "203.0.113.7", trusted=["unix"]) == "203.0.113.7"
    assert _client(None, "203.0.113.7", trusted=["10.0.0.0/8"]) is None


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1.2.3.4.5", "[", "[]", "[::1", "::g", "1.2.3.4 5", ",", "0x7f.1"])
def test_what_is_no_address(text: str) -> None:
    assert bare(text) in (None, "::1")


def test_neighbourhoods() -> None:
    def place(address: str) -> str:
        return place_at((address, 1))

    assert place("203.0.113.7") == place("203.0.113.200") != place("203.0.114.7")
    assert place("2001:db8::1") == place("2001:db8::ffff") != place("2001:db8:0:1::1")
    assert digest_at(("203.0.113.7", 1)) != digest_at(("203.0.113.8", 1))
    assert digest_of("::ffff:203.0.113.7") != digest_of("203.0.113.8")
    assert digest_of("fe80::1%eth0") == digest_of("fe80::1"), "a zone is no part of an address"
    assert (bare("[fe80::1%eth0]:80"), bare("1.2.3.4%eth0")) == ("fe80::1", None)
    assert place_at(None) == ""


def test_wrong_networks_stop_the_start() -> None:
    for proxies in (["nginx"], ["10.0.0.1/8"], ["300.1.1.1"]):
        with pytest.raises(SettingsError, match="trusted_proxies"):
            load_settings(trusted_proxies=proxies)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "film")
        with started(folder, streams=str(streams), trusted_proxies=["127.0.0.9"], segment_seconds=60) as service:
            yield service


def _two(service: Service, user: str, proxy: str) -> set[int]:
    """An owner and a friend behind one proxy, each with a header that names their address."""
    owner = Client(service, proxy, {"X-Forwarded-For": "203.0.113.1"})
    friend = Client(service, proxy, {"X-Forwarded-For": "198.51.100.2"})
    grant = owner.open(user, "tv")["grant"]
    answers = [c.play(grant, "film", n + at) for n in range(8) for c, at in ((owner, 10), (friend, 0))]
    return {answer.status for answer in answers}


def test_behind_a_trusted_proxy_two_clients_are_two(service: Service) -> None:
    assert 409 in _two(service, "ann", "127.0.0.9")


def test_an_address_that_nobody_trusted_says_changes_nothing(service: Service) -> None:
    assert _two(service, "bob", "127.0.0.1") == {200}
