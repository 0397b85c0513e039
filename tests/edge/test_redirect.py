"""`deliver = "redirect"`: after admission players are sent to a CDN, by a URL that is signed in its own way."""

import base64
import hmac
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as elliptic_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr, ValidationError

from streamlimit.edge.signed_url import signed_url, signer
from streamlimit.settings import CdnSettings
from tests.edge.calls import Viewer, some_user
from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder
from tests.web.streams import make_long

pytestmark = pytest.mark.xdist_group("edge-redirect")

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


@pytest.mark.parametrize(
    "wrong",
    [
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
        with pytest.raises(ValidationError, match=words):
            CdnSettings(kind="cloudfront", url="https://c.example", key=SecretStr(key), key_id=key_id)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_long(Path(folder) / "streams", "a film")
        cdn = {"kind": "fastly", "url": "https://cdn.example/v", "key": KEY, "lifetime": 20}
        settings = {"streams": str(streams), "ledger_streams": "any", "deliver": "redirect", "cdn": cdn}
        with started(Path(folder), **settings) as service:
            yield service


@pytest.fixture
def user() -> str:
    return some_user()


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
