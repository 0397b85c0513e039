"""Viewers' tokens: valid and invalid ones, and outages of the identity provider."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from streamlimit.errors import SettingsError
from streamlimit.settings import JwtSettings, key_hash, load_settings
from streamlimit.web.auth import Authenticator, Key
from streamlimit.web.grants import Grants
from streamlimit.web.identity import Identity, Verifier
from streamlimit.web.plans import Plans
from streamlimit.web.problems import Problem
from streamlimit.web.rights import Role
from streamlimit.web.token_keys import AWAY_SECONDS, BadToken, Keys, KeysUnavailable
from tests.web.provider import AUDIENCE, ISSUER, jwks, new_key, token

RSA, EC, ED = new_key("RS256"), new_key("ES256"), new_key("EdDSA")
SECRET = "a-shared-secret-of-at-least-32-bytes"


class Desk:
    """A verifier with a provider and a clock that tests move."""

    def __init__(self, *keys: Any, **settings: Any) -> None:
        self.now, self.wall, self.asked = 1_000.0, time.time(), 0
        self.keys, self.problem = list(keys), None
        self.document: Callable[[], Any] = lambda: jwks(*self.keys) if not isinstance(self.keys, dict) else self.keys
        self.gate: asyncio.Event | None = None
        table = {"jwks_url": "https://id.example.org/jwks", "issuer": ISSUER, "audience": AUDIENCE} | settings
        self.settings = JwtSettings(**table)
        self.ring = Keys(self.settings, self._fetch, lambda: self.now)
        self.verifier = Verifier(self.settings, self.ring, lambda: self.wall)

    problem: Exception | None

    async def _fetch(self, url: str) -> Any:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.problem is not None:
            raise self.problem
        return self.document()

    def read(self, text: str) -> Identity:
        return asyncio.run(self.verifier.verify(text))

    def refuses(self, text: str) -> str:
        with pytest.raises(BadToken) as refused:
            self.read(text)
        return str(refused.value)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _forged(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    body = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
    mac = b"" if secret is None else hmac.new(secret, body.encode(), hashlib.sha256).digest()
    return f"{body}.{_b64(mac)}"


CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": 4_000_000_000}

# What counts


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")], ids=lambda v: str(v)[:5])
def test_each_algorithm_of_public_keys(key: Any, algorithm: str) -> None:
    desk = Desk(RSA, EC, ED)
    assert desk.read(token(key, algorithm=algorithm)).user_id == "alice"


def test_what_the_claims_allow() -> None:
    desk = Desk(RSA)
    assert desk.read(token(RSA)) == Identity("alice", pytest.approx(time.time() + 3_630, abs=5))
    told = desk.read(token(RSA, streamlimit_limit=2, streamlimit_plan="gold", streamlimit_streams=["a", "b"]))
    assert (told.limit, told.plan, told.streams) == (2, "gold", frozenset("ab"))


def test_the_claims_names_are_for_the_operator_to_say() -> None:
    names = {"user_claim": "https://x/uid", "limit_claim": "screens", "plan_claim": "tier", "streams_claim": "titles"}
    desk = Desk(RSA, **names)
    claims = {"https://x/uid": "bob", "screens": 4, "tier": "t", "titles": ["one"]}
    assert desk.read(token(RSA, **claims)) == Identity(
        "bob", pytest.approx(time.time() + 3_630, abs=5), 4, "t", frozenset({"one"})
    )


SUBJECTS = [
    "ada", "auth0|507f1f77bcf86cd799439011", "google-oauth2|103547991597142817347", "oauth2|Custom|1:14",
    "ada+tv@example.org",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "urn:user:ada", "AbC+d==", "Ada Lovelace", "用户", "CN=Ada,OU=Math,O=Acme",
]  # fmt: skip


@pytest.mark.parametrize("user", SUBJECTS)
def test_users_are_named_as_their_provider_names_them(user: str) -> None:
    assert Desk(RSA).read(token(RSA, user=user)).user_id == user
    assert Desk(RSA, encode_user=True).read(token(RSA, user=user)).user_id == user


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (None, "has no sub"),
        (12_345, "sub is no text"),
        ("", "is empty"),
        ("u" * 129, "has 129 characters"),
        ("\N{CLAPPER BOARD}" * 65, "takes 260 bytes"),
        ("a\nb", "control character (U+000A)"),
        ("https://id.example.org/ada", "a slash"),
        ("ACME\\ada", "a backslash"),
        ("..", "is '..'"),
    ],
)
def test_a_user_who_cannot_be_named_is_told_why(user: Any, why: str) -> None:
    assert why in Desk(RSA).refuses(_signed({"sub": user}))


def test_users_with_slashes_are_encoded_where_the_operator_says_so() -> None:
    desk = Desk(RSA, encode_user=True)
    assert desk.read(token(RSA, user="https://id.example.org/ada")).user_id == "https:%2F%2Fid.example.org%2Fada"
    assert desk.read(token(RSA, user="ACME\\ada")).user_id == "ACME%5Cada"
    assert desk.read(token(RSA, user="a%2Fb")).user_id == "a%252Fb", "no two users become one"


def test_a_key_without_an_id_is_tried_by_its_kind() -> None:
    anonymous = [{k: v for k, v in key.as_dict(private=False).items() if k != "kid"} for key in (EC, RSA)]
    desk = Desk()
    desk.keys = {"keys": anonymous}  # type: ignore[assignment]
    text = token(RSA)
    header = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    assert "kid" in header
    assert "not valid" in desk.refuses(text)  # it names a key that is not there
    from joserfc import jwt

    assert desk.read(jwt.encode({"alg": "RS256"}, CLAIMS, RSA)).user_id == "alice"


def test_several_audiences() -> None:
    assert Desk(RSA).read(token(RSA, aud=["other", AUDIENCE])).user_id == "alice"


def test_clocks_may_differ_by_the_leeway() -> None:
    desk = Desk(RSA, leeway_seconds=30)
    now = int(desk.wall)
    assert desk.read(token(RSA, exp=now - 20, nbf=now + 20)).user_id == "alice"
    assert "expired" in desk.refuses(token(RSA, exp=now - 31))
    assert "not valid yet" in desk.refuses(token(RSA, nbf=now + 32))


# What does not

BAD: dict[str, Callable[[], str]] = {
    "expired": lambda: token(RSA, exp=1_000_000_000),
    "no expiry": lambda: token(RSA, exp=None),
    "expiry a text": lambda: token(RSA, exp="tomorrow"),
    "expiry no number at all": lambda: token(RSA, exp=float("nan")),
    "expiry never": lambda: token(RSA, exp=float("inf")),
    "expiry true": lambda: token(RSA, exp=True),
    "another issuer": lambda: token(RSA, iss="https://evil.example.org/"),
    "no issuer": lambda: token(RSA, iss=None),
    "another audience": lambda: token(RSA, aud="others"),
    "no audience": lambda: token(RSA, aud=None),
    "no user": lambda: token(RSA, sub=None),
    "user a number": lambda: _signed({"sub": 7}),
    "user no id": lambda: token(RSA, user="a folder/of mine"),
    "user empty": lambda: token(RSA, user=""),
    "user too long": lambda: token(RSA, user="u" * 129),
    "limit zero": lambda: token(RSA, streamlimit_limit=0),
    "limit true": lambda: token(RSA, streamlimit_limit=True),
    "limit a text": lambda: token(RSA, streamlimit_limit="3"),
    "limit huge": lambda: token(RSA, streamlimit_limit=65),
    "plan a list": lambda: token(RSA, streamlimit_plan=["gold"]),
    "streams a text": lambda: token(RSA, streamlimit_streams="a"),
    "streams of numbers": lambda: token(RSA, streamlimit_streams=[1]),
    "another key of the same kind": lambda: token(new_key("RS256")),
    "another key with the same id": lambda: token(RSAKey.generate_key(2048, {"kid": RSA.kid})),
    "signature of another kind": lambda: _forged({"alg": "ES256", "kid": RSA.kid}, CLAIMS, b"x"),
    "alg none": lambda: _forged({"alg": "none", "kid": RSA.kid}, CLAIMS, None),
    "alg None": lambda: _forged({"alg": "NONE"}, CLAIMS, None),
    "no alg": lambda: _forged({"kid": RSA.kid}, CLAIMS, None),
    "public key as secret (PEM)": lambda: _forged({"alg": "HS256", "kid": RSA.kid}, CLAIMS, RSA.as_pem(private=False)),
    "public key as secret (DER)": lambda: _forged({"alg": "HS256", "kid": RSA.kid}, CLAIMS, RSA.as_der(private=False)),
    "secret empty": lambda: _forged({"alg": "HS256"}, CLAIMS, b""),
    "not accepted RS512": lambda: _forged({"alg": "RS512", "kid": RSA.kid}, CLAIMS, b"x"),
    "own key in the header": lambda: _with_own_key(),
    "critical extension": lambda: _forged(
        {"alg": "RS256", "kid": RSA.kid, "crit": ["b64"], "b64": False}, CLAIMS, b"x"
    ),
    "encrypted": lambda: _b64(b'{"alg":"dir","enc":"A128GCM","zip":"DEF"}') + "." + ".".join(["e30"] * 4),
    "claims a list": lambda: _signed([1, 2]),
    "empty": lambda: "",
    "two parts": lambda: "e30.e30",
    "four dots": lambda: "....",
    "no base64": lambda: "%%%.%%%.%%%",
    "a header that is no JSON": lambda: _b64(b"{") + ".e30.e30",
    "a header that is a list": lambda: _b64(b"[]") + ".e30.e30",
    "deep JSON": lambda: _b64(b"[" * 3_000) + ".e30.e30",
    "a header with deep JSON": lambda: _b64(b'{"alg":"RS256","deep":' + b"[" * 3_000) + ".e30.e30",
    "ten kilobytes": lambda: token(RSA, filler="x" * 10_000),
    "truncated": lambda: token(RSA)[:-10],
    "one character changed": lambda: token(RSA)[:-1] + ("A" if token(RSA)[-1] != "A" else "B"),
    "no ASCII": lambda: "é.é.é",
    "a NUL": lambda: "a\0.b.c",
}


def _signed(claims: Any) -> str:
    from joserfc import jws

    if isinstance(claims, dict):
        claims = CLAIMS | claims
    return jws.serialize_compact({"alg": "RS256", "kid": RSA.kid}, json.dumps(claims).encode(), RSA)


def _with_own_key() -> str:
    mine = new_key("RS256")
    from joserfc import jwt

    header = {"alg": "RS256", "jwk": mine.as_dict(private=False)}
    return jwt.encode(header, CLAIMS, mine)


@pytest.mark.parametrize("name", BAD)
def test_is_no_token_here(name: str) -> None:
    assert Desk(RSA, EC).refuses(BAD[name]())


def test_a_shared_secret_takes_no_public_keys_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    desk = Desk(RSA, jwks_url=None, secret_file=tmp_path / "secret")
    assert desk.read(_forged({"alg": "HS256"}, CLAIMS, SECRET.encode())).user_id == "alice"
    assert desk.read(_forged({"alg": "HS256", "kid": "any"}, CLAIMS, SECRET.encode())).user_id == "alice"
    for bad in (token(RSA), _forged({"alg": "none"}, CLAIMS, None), _forged({"alg": "HS256"}, CLAIMS, b"other")):
        assert desk.refuses(bad)
    assert desk.asked == 0
    assert Desk(RSA).refuses(_forged({"alg": "HS256"}, CLAIMS, SECRET.encode()))


def test_a_secret_in_public_is_none_and_a_broken_key_spoils_no_other() -> None:
    desk = Desk()
    shown = jwks(RSA)["keys"]
    public_secret = {"kty": "oct", "k": _b64(SECRET.encode()), "kid": "s"}
    broken = {"kty": "RSA", "n": "!!", "e": "AQAB", "kid": "b"}
    desk.keys = {"keys": [public_secret, broken, {"kty": "AKP"}, {**shown[0], "kid": "e", "use": "enc"}, *shown]}  # type: ignore[assignment]
    assert desk.read(token(RSA)).user_id == "alice"
    assert desk.refuses(_forged({"alg": "HS256", "kid": "s"}, CLAIMS, SECRET.encode()))


# The provider


def test_keys_are_fetched_once_for_many_at_once() -> None:
    async def many() -> list[Identity]:
        desk.gate = asyncio.Event()
        waiting = [asyncio.ensure_future(desk.verifier.verify(token(RSA, f"u{n}"))) for n in range(20)]
        await asyncio.sleep(0.01)
        desk.gate.set()
        return await asyncio.gather(*waiting)

    desk = Desk(RSA)
    assert len(asyncio.run(many())) == 20
    assert desk.asked == 1


def test_a_viewer_who_leaves_does_not_take_the_keys_along() -> None:
    async def leave() -> Identity:
        desk.gate = asyncio.Event()
        first = asyncio.ensure_future(desk.verifier.verify(token(RSA)))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(desk.verifier.verify(token(RSA, "bob")))
        await asyncio.sleep(0)
        first.cancel()
        desk.gate.set()
        return await second

    desk = Desk(RSA)
    assert asyncio.run(leave()).user_id == "bob"


def test_rotation_a_new_key_is_fetched_when_a_token_names_it_but_not_at_every_word() -> None:
    desk, new = Desk(RSA), new_key()
    assert desk.read(token(RSA)).user_id == "alice"
    desk.keys = [RSA, new]
    desk.now += AWAY_SECONDS
    assert desk.read(token(new, "bob")).user_id == "bob"
    assert desk.asked == 2
    for _ in range(50):
        assert desk.refuses(token(new_key("ES256"), algorithm="ES256"))
    assert desk.asked == 2, "made-up keys make no storm of fetches"


def test_while_the_provider_is_away_the_keys_at_hand_count_until_they_are_stale() -> None:
    desk = Desk(RSA, jwks_seconds=600, jwks_stale_seconds=86_400)
    desk.read(token(RSA))
    desk.problem = OSError("away")
    desk.now += 86_000
    asyncio.run(desk.ring.refresh())
    assert desk.read(token(RSA, "bob")).user_id == "bob"
    desk.now += 1_001
    with pytest.raises(KeysUnavailable):
        desk.read(token(RSA, "carol"))
    desk.problem = None
    desk.now += AWAY_SECONDS
    assert desk.read(token(RSA, "carol")).user_id == "carol"


def test_a_provider_that_was_never_there_makes_no_token_bad() -> None:
    desk = Desk(RSA)
    desk.problem = OSError("away")
    with pytest.raises(KeysUnavailable):
        desk.read(token(RSA))


@pytest.mark.parametrize("document", [{}, [], {"keys": []}, {"keys": 3}, {"keys": [3]}, "x", None, {"keys": [{}]}])
def test_a_document_that_is_none_leaves_the_keys_at_hand(document: Any) -> None:
    desk = Desk(RSA)
    desk.read(token(RSA))

    desk.document = lambda: document
    asyncio.run(desk.ring.refresh())
    assert desk.read(token(RSA)).user_id == "alice"


# The authenticator


def _authenticator(desk: Desk) -> Authenticator:
    plans = Plans({"gold": 5})
    return Authenticator(
        Grants(["0123456789abcdef"], 60), [Key(key_hash("service-key"), "service")], plans, desk.verifier, "nobody"
    )


async def test_a_token_seen_before_is_not_verified_again_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(RSA)
    authenticator = _authenticator(desk)
    text = "Bearer " + token(RSA, exp=int(time.time()) + 1, streamlimit_plan="gold")

    first = await authenticator.identify(text.encode())
    assert (first.role, first.user_id, first.limit) == ("viewer", "alice", 5)
    assert await authenticator.identify(text.encode()) is first
    desk.wall += 60
    monkeypatch.setattr(time, "time", lambda: desk.wall)
    with pytest.raises(Problem) as refused:
        await authenticator.identify(text.encode())
    assert refused.value.status == 401


async def test_a_key_that_is_taken_back_opens_nothing_from_the_next_fetch_on() -> None:
    desk = Desk(RSA, EC)
    authenticator = _authenticator(desk)
    stolen = "Bearer " + token(EC, algorithm="ES256")
    assert (await authenticator.identify(stolen.encode())).user_id == "alice"
    desk.keys = [RSA]
    await desk.ring.refresh()
    with pytest.raises(Problem) as refused:
        await authenticator.identify(stolen.encode())
    assert refused.value.status == 401


async def test_keys_that_are_away_are_no_fault_of_the_viewers() -> None:
    desk = Desk(RSA)
    desk.problem = OSError("away")
    authenticator = _authenticator(desk)
    with pytest.raises(Problem) as refused:
        await authenticator.identify(f"Bearer {token(RSA)}".encode())
    assert (refused.value.code, refused.value.status) == ("identity-unavailable", 503)
    assert int(refused.value.headers["Retry-After"]) > 0
    assert (await authenticator.identify(b"Bearer service-key")).role == "service", "needs no provider"


def test_every_key_is_compared_in_constant_time_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(1) or real(a, b))
    held: list[tuple[str, Role]] = [("first-key", "operator"), ("second-key", "operator"), ("third-key", "service")]
    keys = [Key(key_hash(key), role) for key, role in held]
    for key, role in held:
        authenticator = Authenticator(Grants(["0123456789abcdef"], 60), keys)
        assert asyncio.run(authenticator.identify(f"Bearer {key}".encode())).role == role
        assert len(compared) == 3
        compared.clear()


# Settings


@pytest.mark.parametrize(
    ("table", "name", "words"),
    [
        (None, "jwt", "jwks_url or secret_file"),
        ({}, "jwt", "one of the two"),
        ({"jwks_url": "https://x/", "secret_file": "SECRET"}, "jwt", "one of the two"),
        ({"jwks_url": "http://id.example.org/"}, "jwt.jwks_url", "https"),
        ({"jwks_url": "http://127.0.0.1.evil.org/"}, "jwt.jwks_url", "https"),
        ({"jwks_url": "http://localhost@evil.org/"}, "jwt.jwks_url", "https"),
        ({"jwks_url": "file:///etc/passwd"}, "jwt.jwks_url", "https"),
        ({"jwks_url": "https://x:99999/"}, "jwt.jwks_url", "Port out of range"),
        ({"secret_file": "no-such-file"}, "jwt.secret_file", "cannot be read"),
        ({"secret_file": "SHORT"}, "jwt.secret_file", "32 bytes"),
        ({"jwks_url": "https://x/", "leeway_seconds": 601}, "jwt.leeway_seconds", "600"),
        ({"jwks_url": "https://x/", "audiance": "x"}, "jwt.audiance", "no such setting"),
    ],
)
def test_a_wrong_table_stops_the_start(table: Any, name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "SECRET").write_text(SECRET)
    (tmp_path / "SHORT").write_text("short")
    if table and "secret_file" in table:
        table = table | {"secret_file": str(tmp_path / table["secret_file"])}
    with pytest.raises(SettingsError) as wrong:
        load_settings(auth="jwt", jwt=table)
    assert wrong.value.name == name
    assert words in wrong.value.problem


def test_one_key_is_of_one_role_and_a_secret_of_one_kind(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="service_keys"):
        load_settings(service_keys=["the-same-key"], operator_keys=["the-same-key"])
    digest = "sha256:" + hashlib.sha256(b"the-same-key").hexdigest()
    with pytest.raises(SettingsError, match="operator_keys"):
        load_settings(operator_read_keys=["the-same-key"], operator_keys=[digest])
    (tmp_path / "secret").write_text(SECRET)
    with pytest.raises(SettingsError, match="grant_keys"):
        load_settings(auth="jwt", jwt={"secret_file": str(tmp_path / "secret")}, grant_keys=[SECRET])
