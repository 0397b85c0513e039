"""`deliver = "redirect"`: after admission players are sent to a CDN, by a URL that is signed in its own way."""

import base64
import hmac
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as elliptic_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from streamlimit.edge.signed_cookie import Cookies
from streamlimit.edge.signed_url import signed_url, signer
from streamlimit.settings import CdnSettings
from tests.edge.calls import Viewer, some_user
from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder
from tests.web.streams import make_long

NOW = 1_657_026_353.25
KEY = base64.b64encode(b"thirty-two bytes of a good secret").decode()


def made(path: str, stream: str = "a film", **cdn: object) -> str:
    settings = CdnSettings.model_validate({"url": "https://cdn.example/v/", "lifetime": 10} | cdn)
    return signed_url(settings, signer(settings), stream, path, NOW)


def test_cloudfront_is_given_a_canned_policy(tmp_path: Path) -> None:
    key = generate_private_key(65_537, 2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    for given in (pem.decode(), str(tmp_path / "key.pem")):
        found = urlsplit(made("1/é*~.ts", kind="cloudfront", key=given, key_id="K2JCJ"))
        said = dict(pair.split("=", 1) for pair in found.query.split("&"))
        assert (said["Expires"], said["Key-Pair-Id"]) == ("1657026364", "K2JCJ")
        url = "https://cdn.example/v/a%20film/1/%C3%A9%2A~.ts"
        assert found._replace(query="").geturl() == url
        policy = (
            f'{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":1657026364}}}}}}]}}'
        )
        signature = base64.b64decode(said["Signature"].translate(str.maketrans("-_~", "+=/")))
        key.public_key().verify(signature, policy.encode(), PKCS1v15(), SHA1())
        with pytest.raises(InvalidSignature):
            key.public_key().verify(signature, policy.encode() + b" ", PKCS1v15(), SHA1())


def test_akamai_is_given_a_token_for_one_url() -> None:
    mac = hmac.new(bytes.fromhex("00ff17"), b"exp=1657026364~url=/v/a%20film/1.ts", "sha256").hexdigest()
    assert made("1.ts", kind="akamai", key="00FF17") == (
        f"https://cdn.example/v/a%20film/1.ts?hdnts=exp=1657026364~hmac={mac}"
    )


def test_fastly_is_given_expiry_and_mac() -> None:
    mac = hmac.new(base64.b64decode(KEY), b"/v/a%20film/1.ts1657026364", "sha1").hexdigest()
    assert made("1.ts", kind="fastly", key=KEY, parameter="t") == (
        f"https://cdn.example/v/a%20film/1.ts?t=1657026364_{mac}"
    )


def test_cloudflare_is_given_the_moment_and_mac() -> None:
    mac = base64.b64encode(hmac.digest(b"cloudflare", b"/v/film/1.mp41657026353", "sha256")).decode()
    said = urlsplit(made("1.mp4", "film", kind="cloudflare", key="cloudflare")).query
    assert parse_qs(said) == {"verify": [f"1657026353-{mac}"]}
    assert "+" not in said
    assert "/" not in said


def verified(token: str, check: Callable[[bytes, bytes], None]) -> dict[int, object]:
    """The claims of a token, by RFC 9052: *check* is given what was signed, and the signature."""
    sealed = cbor2.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    context = {17: "MAC0", 18: "Signature1"}[sealed.tag]
    protected, unprotected, payload, signature = sealed.value
    assert cbor2.loads(protected)[1] == {17: 5, 18: -7}[sealed.tag]
    assert (cbor2.loads(protected) | unprotected)[4] == b"k1"
    check(cbor2.dumps([context, protected, b"", payload]), signature)
    with pytest.raises((AssertionError, InvalidSignature)):
        check(cbor2.dumps([context, protected, b"", payload + b" "]), signature)
    claims: dict[int, object] = cbor2.loads(payload)
    return claims


def is_mac(signed: bytes, signature: bytes) -> None:
    assert hmac.digest(bytes.fromhex("00ff17"), signed, "sha256") == signature


def test_a_common_access_token_is_for_one_path_and_macked_by_a_secret() -> None:
    url, _, token = made("1/é.ts", kind="cat", key="00ff17", key_id="k1").partition("?cat=")
    assert url == "https://cdn.example/v/a%20film/1/%C3%A9.ts"
    assert verified(token, is_mac) == {
        1: "streamlimit",
        4: 1_657_026_364,
        6: 1_657_026_353,
        310: 1,
        312: {0: {0: "https"}, 1: {0: "cdn.example"}, 3: {0: "/v/a%20film/1/%C3%A9.ts"}},
    }


def test_a_common_access_token_is_signed_by_a_key_of_a_pair(tmp_path: Path) -> None:
    key = elliptic_key(SECP256R1())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def check(signed: bytes, signature: bytes) -> None:
        r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
        key.public_key().verify(encode_dss_signature(r, s), signed, ECDSA(SHA256()))

    more = {"key_id": "k1", "issuer": "us", "parameter": "t"}
    token = made("1.ts", kind="cat", key=str(tmp_path / "key.pem"), **more).partition("?t=")[2]
    assert verified(token, check)[1] == "us"


def baked(**cdn: object) -> list[dict[str, str]]:
    """Each cookie for a film: its name, value and terms."""
    settings = CdnSettings.model_validate({"url": "https://cdn.example/v", "lifetime": 9.5} | cdn)
    return [_parts(cookie) for cookie in Cookies(settings, lambda: NOW).of("a; film*")]


def _parts(cookie: str) -> dict[str, str]:
    (name, value), *terms = (part.strip().partition("=")[::2] for part in cookie.split(";"))
    return {"name": name, "value": value} | {term.lower(): told for term, told in terms}


OPENS = {"path": "/v/a%3B%20film%2A/", "max-age": "10", "secure": "", "samesite": "None", "httponly": ""}


def test_cloudfronts_cookies_open_the_folder_of_one_stream() -> None:
    key = generate_private_key(65_537, 2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    cookies = baked(kind="cloudfront-cookies", key=pem, key_id="K2JCJ", cookie_domain=".cdn.example")
    for cookie in cookies:
        assert cookie.items() >= (OPENS | {"domain": ".cdn.example"}).items()
    said = {cookie["name"]: cookie["value"] for cookie in cookies}
    assert said["CloudFront-Key-Pair-Id"] == "K2JCJ"
    policy, signature = (
        base64.b64decode(said[f"CloudFront-{name}"].translate(str.maketrans("-_~", "+=/")))
        for name in ("Policy", "Signature")
    )
    key.public_key().verify(signature, policy, PKCS1v15(), SHA1())
    statement = {
        "Resource": "https://cdn.example/v/a%3B%20film%2A/*",
        "Condition": {"DateLessThan": {"AWS:EpochTime": 1_657_026_363}},
    }
    assert json.loads(policy) == {"Statement": [statement]}
    assert b" " not in policy


def test_akamais_cookie_is_a_token_for_the_folder() -> None:
    (cookie,) = baked(kind="akamai-cookie", key="00FF17", url="http://127.0.0.1:9/v")
    said = "exp=1657026363~acl=/v/a%3B%20film%2A/*"
    mac = hmac.new(bytes.fromhex("00ff17"), said.encode(), "sha256").hexdigest()
    assert (cookie["name"], cookie["value"]) == ("hdnts", f"{said}~hmac={mac}")
    assert cookie["samesite"] == "Lax"
    assert not {"secure", "domain"} & cookie.keys(), "browsers would throw it away"


def test_a_common_access_token_as_a_cookie_opens_what_begins_so() -> None:
    (cookie,) = baked(kind="cat-cookie", key="00ff17", key_id="k1")
    assert cookie["name"] == "CTA-Common-Access-Token"
    assert cookie.items() >= OPENS.items()
    claims = verified(cookie["value"], is_mac)
    assert claims[4] == 1_657_026_363
    assert claims[312] == {0: {0: "https"}, 1: {0: "cdn.example"}, 3: {1: "/v/a%3B%20film%2A/"}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "cat", "key": "xyz"},
        {"kind": "cat", "key": "/nowhere"},
        {"kind": "cat", "key": "-----BEGIN nothing"},
        {"kind": "cat-cookie", "key": ""},
        {"kind": "akamai-cookie", "key": "xyz"},
        {"kind": "akamai-cookie", "key": "0077", "cookie_domain": "a;b"},
        {"kind": "cloudfront-cookies", "key": "/nowhere", "key_id": "K"},
        {"kind": "cloudfront", "key": "/nowhere", "key_id": "a b"},
        {"kind": "akamai", "key": "xyz"},
        {"kind": "fastly", "key": "*"},
        {"kind": "cloudflare", "key": ""},
        {"kind": "cloudfront", "key": "/nowhere", "key_id": "K"},
        {"kind": "cloudfront", "key": "-----BEGIN nothing", "key_id": "K"},
        {"kind": "akamai", "key": "0077", "lifetime": 0},
        {"kind": "akamai", "key": "0077", "url": "cdn.example"},
        {"kind": "akamai", "key": "0077", "parameter": "a&b"},
        {"kind": "another", "key": "0077"},
    ],
)
def test_a_wrong_setting_is_told_without_the_key(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as told:
        made("1.ts", **wrong)
    assert not any(str(wrong["key"] or "none") in each["msg"] for each in told.value.errors())


def test_cloudfronts_keys_are_rsa_and_named() -> None:
    curve = elliptic_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    rsa = generate_private_key(65_537, 2_048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for key, key_id, words in ((curve, "K", "RSA"), (rsa, None, "key_id")):
        for kind in ("cloudfront", "cloudfront-cookies"):
            with pytest.raises(ValidationError, match=words):
                made("1.ts", kind=kind, url="https://c.example", key=key, key_id=key_id)
    with pytest.raises(ValidationError, match=r"P-256"):
        made("1.ts", kind="cat", key=rsa)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "a film")
        cdn = {"kind": "fastly", "url": "https://cdn.example/v", "key": KEY, "lifetime": 20}
        settings = {"streams": str(streams), "ledger_streams": "any", "deliver": "redirect", "cdn": cdn}
        with started(folder, **settings) as service:
            yield service


def ask(viewer: Viewer, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request; redirects are not followed."""
    line = http.client.HTTPConnection("127.0.0.1", viewer.service.port, timeout=20)
    try:
        line.request(method, viewer.uri(path, viewer.stream.replace(" ", "%20")), headers=headers)
        answer = line.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        line.close()


def test_media_is_sent_on_after_admission_and_the_next_segment_confirms(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "a film")
    answer = ask(viewer, "000.ts")
    assert (answer.status, answer.body) == (302, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    place, _, token = answer.headers["location"].partition("?token=")
    until, mac = token.split("_")
    assert place == "https://cdn.example/v/a%20film/000.ts"
    assert 0 < int(until) - time.time() <= 21
    assert mac == hmac.new(base64.b64decode(KEY), f"/v/a%20film/000.ts{until}".encode(), "sha1").hexdigest()
    found = viewer.state()
    assert found is not None
    assert found["state"] == "starting"
    assert ask(viewer, "001.ts").status == 302
    found = viewer.state()
    assert found is not None
    assert (found["state"], found["segment"]) == ("active", "000.ts")


def test_the_fourth_is_sent_nowhere(service: Service, user: str) -> None:
    for number in range(3):
        assert ask(Viewer(service, user, str(number), "a film"), "000.ts").status == 302
    fourth = Viewer(service, some_user(), "x", "a film")
    service.call("POST", f"/v1/users/{user}/sessions/0/end", {"keep_grant": True})
    late = Viewer(service, user, "late", "a film")
    service.call("DELETE", f"/v1/users/{user}/sessions/late?reason=x", key=OPERATOR_KEY)
    refused = ask(late, "000.ts")
    assert (refused.status, refused.json["code"]) == (410, "session-terminated")
    assert "location" not in refused.headers
    assert ask(fourth, "000.ts").status == 302


def test_playlists_are_ours_and_no_url_is_handed_out_without_a_seat(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "a film")
    service.call("POST", f"/v1/users/{user}/sessions/s/end", {"keep_grant": True})
    entry = ask(viewer, "index.m3u8")
    assert entry.status == 200
    assert b"cdn.example" not in entry.body
    head = ask(viewer, "000.ts", "HEAD")
    assert head.status == 200
    assert "location" not in head.headers
    assert ask(viewer, "nothing.ts").status == 404
    assert ask(viewer, "000.ts", "POST").status == 405
    assert viewer.state() is None
    assert ask(viewer, "000.ts", Range="bytes=0-9").status == 302
    assert viewer.state() is not None


def test_of_a_stream_elsewhere_all_but_playlists_is_sent_on(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "elsewhere")
    service.call("POST", f"/v1/users/{user}/sessions/s/end", {"keep_grant": True})
    for path, status in (("index.m3u8", 404), ("x.MPD", 404), ("init.mp4", 302), ("", 404)):
        assert ask(viewer, path).status == status
    assert ask(viewer, "1.m4s", "HEAD").status == 405
    assert viewer.state() is None
    answer = ask(viewer, "v/1.m4s")
    assert answer.headers["location"].startswith("https://cdn.example/v/elsewhere/v/1.m4s?token=")
    assert viewer.state() is not None
    for path in ("%2e%2e/x.m4s", "a%2Fb.m4s", "v/%5c1.m4s"):
        assert ask(viewer, path).status == 400


@pytest.fixture(scope="module")
def opening() -> Iterator[Service]:
    """A CDN whose folders are opened by a cookie."""
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "a film", "other")
        cdn = {"kind": "akamai-cookie", "url": "https://cdn.example/v", "key": "00ff17", "lifetime": 20}
        settings = {"streams": str(streams), "ledger_streams": "any", "deliver": "redirect", "cdn": cdn}
        with started(folder, **settings) as service:
            yield service


def cookie_in(answer: Answer) -> str | None:
    """The path for which it opens the CDN."""
    told = answer.headers.get("set-cookie")
    return None if told is None else _parts(told)["path"]


def test_who_is_admitted_is_given_the_cookie_and_playlists_renew_it(opening: Service, user: str) -> None:
    viewer = Viewer(opening, user, "s", "a film")
    answer = ask(viewer, "000.ts")
    assert (answer.status, answer.headers["location"]) == (302, "https://cdn.example/v/a%20film/000.ts")
    assert cookie_in(answer) == "/v/a%20film/"
    entry = ask(viewer, "index.m3u8")
    assert cookie_in(entry) == "/v/a%20film/"
    below = urljoin(viewer.uri("index.m3u8", "a%20film"), entry.body.decode().strip().splitlines()[-1])
    playlist = opening.get(below)
    assert (playlist.status, cookie_in(playlist)) == (200, "/v/a%20film/")
    again = opening.get(below, headers={"If-None-Match": playlist.headers["etag"]})
    assert (again.status, cookie_in(again)) == (304, "/v/a%20film/")


def test_what_takes_no_seat_opens_itself_alone(opening: Service, user: str) -> None:
    viewer = Viewer(opening, user, "s", "elsewhere")
    opening.call("POST", f"/v1/users/{user}/sessions/s/end", {"keep_grant": True})
    for path in ("v/init.mp4", "poster.jpg"):
        answer = ask(viewer, path)
        assert (answer.status, cookie_in(answer)) == (302, f"/v/elsewhere/{path}")
        assert f"~acl=/v/elsewhere/{path}~" in answer.headers["set-cookie"]
    assert viewer.state() is None
    assert cookie_in(ask(viewer, "v/1.m4s")) == "/v/elsewhere/"


def test_the_cookie_of_a_file_names_it_and_nothing_more() -> None:
    key = generate_private_key(65_537, 2_048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for cdn in ({"kind": "cloudfront-cookies", "key": key, "key_id": "K"}, {"kind": "cat-cookie", "key": "00ff17"}):
        settings = CdnSettings.model_validate({"url": "https://cdn.example/v"} | cdn)
        cookie = _parts(Cookies(settings, lambda: NOW).of_file("a film", "init*.mp4")[0])
        assert cookie["path"] == "/v/a%20film/init%2A.mp4"
        if cdn["kind"] == "cat-cookie":
            token = cbor2.loads(base64.urlsafe_b64decode(cookie["value"] + "=="))
            assert cbor2.loads(token.value[2])[312][3] == {0: cookie["path"]}
        else:
            policy = json.loads(base64.b64decode(cookie["value"].translate(str.maketrans("-_~", "+=/"))))
            assert policy["Statement"][0]["Resource"] == "https://cdn.example" + cookie["path"]


def test_who_holds_no_seat_on_the_stream_is_given_no_cookie(opening: Service, user: str) -> None:
    viewer = Viewer(opening, user, "s", "a film")
    assert cookie_in(opening.get(viewer.uri("index.m3u8", "other"))) is None, "its seat is on the film"
    opening.call("POST", f"/v1/users/{user}/sessions/s/end", {"keep_grant": True})
    for path, method in (("index.m3u8", "GET"), ("index.m3u8", "HEAD"), ("000.ts", "HEAD")):
        answer = ask(viewer, path, method)
        assert (answer.status, cookie_in(answer)) == (200, None)
    for number in range(3):
        ask(Viewer(opening, user, str(number), "a film"), "000.ts")
    refused = ask(viewer, "000.ts")
    assert (refused.status, cookie_in(refused)) == (409, None)
    opening.call("DELETE", f"/v1/users/{user}/sessions/0?reason=x", key=OPERATOR_KEY)
