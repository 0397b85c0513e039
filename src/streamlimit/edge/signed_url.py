"""URLs that a CDN takes for a while, signed in the way of each. Values in, values out; *now*: seconds of the epoch.

CloudFront: a canned policy. Akamai: EdgeAuth 2.0, a token for one URL. Fastly: the token of its own VCL example.
Cloudflare: `is_timed_hmac_valid_v0`, which is told the moment of signing and knows the lifetime itself.
"""

import base64
import hmac
import math
from collections.abc import Callable, Mapping
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1

from streamlimit.settings.cdn import CdnSettings

Signer = Callable[[str, str, float], str]
"""URL and its path to the query that makes it good."""

_URL_SAFE = str.maketrans("+=/", "-_~")


def signed_url(cdn: CdnSettings, sign: Signer, stream_id: str, path: str, now: float) -> str:
    """Where the file of the stream is, for now. Nothing in it can be read in two ways: all but letters is encoded."""
    file = f"{quote(stream_id, '')}/{quote(path)}"
    return f"{cdn.url}{file}?{sign(cdn.url + file, cdn.path + file, now)}"


def signer(cdn: CdnSettings) -> Signer:
    """The way of that CDN."""
    return _SIGNERS[cdn.kind](cdn)


def _cloudfront(cdn: CdnSettings) -> Signer:
    key: RSAPrivateKey = cdn.private_key()

    def sign(url: str, path: str, now: float) -> str:
        until = _until(cdn, now)
        policy = f'{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{until}}}}}}}]}}'
        made = base64.b64encode(key.sign(policy.encode(), PKCS1v15(), SHA1())).decode().translate(_URL_SAFE)
        return f"Expires={until}&Signature={made}&Key-Pair-Id={cdn.key_id}"

    return sign


def _akamai(cdn: CdnSettings) -> Signer:
    key, name = cdn.secret(), cdn.parameter or "hdnts"

    def sign(url: str, path: str, now: float) -> str:
        said = f"exp={_until(cdn, now)}"
        return f"{name}={said}~hmac={hmac.digest(key, f'{said}~url={path}'.encode(), 'sha256').hex()}"

    return sign


def _fastly(cdn: CdnSettings) -> Signer:
    key, name = cdn.secret(), cdn.parameter or "token"

    def sign(url: str, path: str, now: float) -> str:
        until = _until(cdn, now)
        return f"{name}={until}_{hmac.digest(key, f'{path}{until}'.encode(), 'sha1').hex()}"

    return sign


def _cloudflare(cdn: CdnSettings) -> Signer:
    key, name = cdn.secret(), cdn.parameter or "verify"

    def sign(url: str, path: str, now: float) -> str:
        made = base64.b64encode(hmac.digest(key, f"{path}{int(now)}".encode(), "sha256")).decode()
        return f"{name}={int(now)}-{quote(made, '')}"

    return sign


def _until(cdn: CdnSettings, now: float) -> int:
    return math.ceil(now + cdn.lifetime)


_SIGNERS: Mapping[str, Callable[[CdnSettings], Signer]] = {
    "cloudfront": _cloudfront,
    "akamai": _akamai,
    "fastly": _fastly,
    "cloudflare": _cloudflare,
}
