"""Common Access Tokens (CTA-5007): the paths of a CDN that may be fetched, and until when, as a signed or MACed CWT.

A COSE_Mac0 by HS256 where the key is a secret, a COSE_Sign1 by ES256 where it is a private key.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from streamlimit.settings.cdn import CdnSettings

ISS, EXP, IAT, CATV, CATU = 1, 4, 6, 310, 312
SCHEME, HOST, PATH = 0, 1, 3
"""Parts of a URI in `catu`."""
EXACTLY, BEGINS = 0, 1
"""Ways of comparing a part of a URI."""

TokenMaker = Callable[[Mapping[int, str], float, int], str]
"""Makes a token in Base64url from the comparisons of paths, the time, and the token's expiry."""


def token_maker(cdn: CdnSettings) -> TokenMaker:
    """The maker of tokens for *cdn*. Imports the CBOR library, which nothing else needs."""
    import cbor2
    from cwt import COSE, COSEKey

    cose, kid = COSE.new(), (cdn.key_id or "").encode()
    header: dict[int, Any] = {4: kid} if kid else {}
    if cdn.has_private_key:
        pem = cdn.elliptic_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key, protected, seal = COSEKey.from_pem(pem, alg="ES256", kid=kid), {1: -7}, cose.encode_and_sign
    else:
        key = COSEKey.from_symmetric_key(cdn.secret(), alg="HS256", kid=kid)
        protected, seal = {1: 5}, cose.encode_and_mac

    def make(path: Mapping[int, str], now: float, ends: int) -> str:
        uri = {SCHEME: {EXACTLY: cdn.scheme}, HOST: {EXACTLY: cdn.host}, PATH: dict(path)}
        claims = {ISS: cdn.issuer, EXP: ends, IAT: int(now), CATV: 1, CATU: uri}
        token = seal(cbor2.dumps(claims), key, protected=protected | header)
        assert isinstance(token, bytes)
        return base64.urlsafe_b64encode(token).rstrip(b"=").decode()

    return make
