"""The parts of a store's URL, and the errors of wrong ones."""

import ssl
from pathlib import Path

import pytest

from streamlimit.errors import SettingsError
from streamlimit.store.valkey.keys import Keys
from streamlimit.store.valkey.location import Layout, parse


def test_all_parts_of_a_url_are_taken() -> None:
    found = parse("redis://app:p%40ss@one:7000/3")
    assert (found.layout, found.seeds) == (Layout.SINGLE, (("one", 7000),))
    assert (found.user, found.password, found.db, found.tls) == ("app", "p@ss", 3, None)


@pytest.mark.parametrize(
    ("url", "seeds"),
    [
        ("valkey://", (("127.0.0.1", 6379),)),
        ("valkey://[2001:db8::1]:7000", (("2001:db8::1", 7000),)),
        ("valkey+cluster://a,b:7001", (("a", 6379), ("b", 7001))),
        ("valkey+sentinel://a,b:7001/mymaster", (("a", 26379), ("b", 7001))),
    ],
)
def test_what_is_left_out_has_its_usual_value(url: str, seeds: tuple[tuple[str, int], ...]) -> None:
    assert parse(url).seeds == seeds


def test_a_cluster_has_no_numbered_databases_and_sentinels_know_a_service() -> None:
    assert parse("valkey+cluster://a/7").db == 0
    assert parse("valkey+sentinel://a/mymaster").service == "mymaster"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://a", "http:// is none of"),
        ("valkey+ring://a", "valkey+ring:// is none of"),
        ("valkey://a:port", "is not host:port"),
        ("valkey+cluster://a:1,b:99999", "'b:99999' is not host:port"),
        ("valkey://a/films", "the database must be a number"),
        ("valkey+sentinel://a", "wants the service's name"),
        ("valkey://a?tsl=true", "unknown option tsl"),
        ("valkeys://a?ca=/nowhere/ca.pem", "cannot load the certificates"),
    ],
)
def test_what_is_wrong_is_told(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"^store: ") as told:
        parse(url)
    assert words in str(told.value)


@pytest.mark.parametrize("url", ["valkeys://a", "rediss://a", "valkey://a?tls=yes", "valkey+cluster://a?tls=1"])
def test_tls_verifies_the_server_unless_told_not_to(url: str) -> None:
    context = parse(url).tls
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    careless = parse(url + ("&" if "?" in url else "?") + "verify=no").tls
    assert careless is not None
    assert careless.verify_mode is ssl.CERT_NONE


def test_a_certificate_without_its_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing of the kind")
    with pytest.raises(SettingsError, match="cannot load the certificates"):
        parse(f"valkeys://a?cert={tmp_path}/cert.pem")


def test_a_prefix_with_braces_would_become_the_hash_tag() -> None:
    for prefix in ("{mine}", "a{", "}b"):
        with pytest.raises(ValueError, match="braces"):
            Keys(prefix)
