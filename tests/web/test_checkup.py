"""The messages of `streamlimit check-config` about identity providers that are wrong in every known way."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from streamlimit.errors import SettingsError
from streamlimit.settings import load_settings
from streamlimit.web import token_keys
from streamlimit.web.checkup import ProviderUnavailable, check_provider
from tests import launcher
from tests.answering import Quiet, serving
from tests.ports import free_port
from tests.store.secured import Authority
from tests.web.provider import Provider, jwks, new_key, running_provider

GOOD = jwks(new_key("ES256"), new_key("EdDSA"))


@contextmanager
def answering(
    body: Any, status: int = 200, headers: dict[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The URL of a server with that one answer, as JSON or, a text, as it is."""
    payload = (body if isinstance(body, str) else json.dumps(body)).encode()

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.reply(status, payload, headers)

    with serving(Handler, tls) as port:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}/jwks.json"


@contextmanager
def listening(closes: bool) -> Iterator[str]:
    """The URL of someone who takes connections and says nothing: for ever, or closes at the first word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close_all() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(1_000)
                connection.close()

        if closes:
            threading.Thread(target=close_all, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/jwks.json"
        listener.shutdown(socket.SHUT_RDWR)


def check(url: str) -> list[str]:
    return asyncio.run(check_provider(load_settings(auth="jwt", jwt={"jwks_url": url})))


def wrong(url: str) -> str:
    """What is said of a setting that will not get right by itself."""
    with pytest.raises(SettingsError) as error:
        check(url)
    assert error.value.name == "jwt.jwks_url"
    return error.value.problem


def away(url: str) -> str:
    """What is said of a provider that may come yet."""
    with pytest.raises(ProviderUnavailable) as error:
        check(url)
    assert str(error.value).startswith("jwt.jwks_url: ")
    return str(error.value)


# What is fine


def test_usable_keys_are_counted_and_others_not() -> None:
    useless = [ECKey.generate_key("P-384").as_dict(private=False), {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA"}]
    with answering({"keys": [*GOOD["keys"], *useless]}) as url:
        assert check(url) == ["the provider shows 2 usable keys"]
    with answering({"keys": GOOD["keys"][:1]}) as url:
        assert check(url) == ["the provider shows 1 usable key"]


def test_where_no_provider_counts_none_is_asked(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a-shared-secret-of-at-least-32-bytes")
    nowhere = {"jwks_url": f"http://127.0.0.1:{free_port()}/"}
    for settings in (
        load_settings(),
        load_settings(auth="open", jwt=nowhere),
        load_settings(auth="jwt", jwt={"secret_file": str(tmp_path / "secret")}),
    ):
        assert asyncio.run(check_provider(settings)) == []


# What is wrong


@pytest.mark.parametrize("document", [[], {}, {"keys": 3}, {"keys": {}}, {"keys": [3]}, "x", None])
def test_json_that_is_no_jwks(document: Any) -> None:
    with answering(json.dumps(document)) as url:
        assert "it answers is no JWKS" in wrong(url)


def test_a_page_for_people() -> None:
    with answering("<html>Welcome!</html>") as url:
        assert "is no JSON: is it the URL of the JWKS itself?" in wrong(url)


def test_no_key_that_is_of_use() -> None:
    curves = [ECKey.generate_key("P-384").as_dict(private=False)]
    others = [GOOD["keys"][0] | {"use": "enc"}, GOOD["keys"][0] | {"alg": "ES512"}]
    for keys in ([], curves, others):
        with answering({"keys": keys}) as url:
            assert f"none of its {len(keys)} keys is one for RS256 (RSA), ES256 (P-256) or EdDSA" in wrong(url)


@pytest.mark.parametrize(("status", "words"), [(404, "it answers 404 Not Found"), (401, "it answers 401")])
def test_another_answer_than_the_document(status: int, words: str) -> None:
    with answering("{}", status) as url:
        assert words in wrong(url)


def test_a_redirect_names_where_to() -> None:
    with answering("", 302, {"Location": "https://elsewhere.example/keys"}) as url:
        assert "302 Found to https://elsewhere.example/keys: redirects are not followed" in wrong(url)


def test_a_name_that_no_host_can_have() -> None:
    assert "it is no URL" in wrong("https://ex\x01ample.org/")


def test_a_document_without_end() -> None:
    with answering("x" * (token_keys.MAX_JWKS + 1)) as url:
        assert "too long" in wrong(url)


def test_the_words_name_the_host_and_no_password() -> None:
    port = free_port()
    words = away(f"https://ann:secret-of-ann@127.0.0.1:{port}/jwks")
    assert f"127.0.0.1:{port}: nothing listens there" in words
    assert "secret-of-ann" not in words


def test_a_host_that_nobody_knows() -> None:
    """The words differ where there is no name server at all, as in some sandboxes."""
    settings = load_settings(auth="jwt", jwt={"jwks_url": "https://no-such-host.invalid/jwks"})
    with pytest.raises((SettingsError, ProviderUnavailable), match="the name of its host"):
        asyncio.run(check_provider(settings))


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    authority.sign("provider", "127.0.0.1")
    authority.sign("elsewhere", "127.0.0.2")
    contexts = []
    for name in ("provider", "elsewhere"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        contexts.append(context)
    with answering(GOOD, tls=contexts[0]) as url:
        assert "its certificate is not trusted: name its authority in SSL_CERT_FILE" in wrong(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
        assert check(url) == ["the provider shows 2 usable keys"], "as it says"
    with answering(GOOD, tls=contexts[1]) as url:
        assert "its certificate is for another address" in wrong(url)


def test_one_side_speaks_tls(tmp_path: Path) -> None:
    with answering(GOOD) as url:
        assert "it does not speak TLS" in wrong(url.replace("http:", "https:"))
    with listening(closes=True) as url:
        assert "perhaps it wants https" in wrong(url)


# Who may come yet


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_provider_in_trouble(status: int) -> None:
    with answering("{}", status) as url:
        assert f"it answers {status}" in away(url)


def test_a_provider_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_keys, "FETCH_SECONDS", 0.3)
    with listening(closes=False) as url:
        assert "it does not answer in time" in away(url)


# The command


def _run(folder: Path, provider: Provider) -> tuple[int, str, str]:
    (folder / "streamlimit.toml").write_text(f'auth = "jwt"\n[jwt]\njwks_url = "{provider.url}"\n')
    return launcher.run(["check-config"], folder)


def test_check_config_tries_the_provider_as_it_tries_the_store(tmp_path: Path) -> None:
    with running_provider() as provider:
        code, out, err = _run(tmp_path, provider)
        assert (code, err) == (0, "")
        assert "the store answers; the provider shows 1 usable key; 0 streams" in out
        provider.keys = []
        code, out, err = _run(tmp_path, provider)
        assert (code, out) == (2, "")
        assert err.startswith(f"streamlimit: jwt.jwks_url: 127.0.0.1:{provider.server.server_port}: none of its 0 keys")
    code, out, err = _run(tmp_path, provider)
    assert (code, out) == (1, "")
    assert "nothing listens there" in err
    assert "Traceback" not in err
