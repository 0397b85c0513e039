"""URLs that a CDN takes for a while, signed in the way of each. Values in, values out; *now*: seconds of the epoch.

CloudFront: a canned policy. Akamai: EdgeAuth 2.0, a token for one URL. Fastly: the token of its own VCL example.
Cloudflare: `is_timed_hmac_valid_v0`, which gets the moment of signing and has the lifetime in its own rule. `cat`: a
Common Access Token for one path (access_token.py). Cookies for a whole stream are signed_cookie.py's.
"""

import base64
import hmac
import math
from collections.abc import Callable, Mapping
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1

from streamlimit.edge.access_token import EXACTLY, token_maker
from streamlimit.settings.cdn import CdnSettings

Signer = Callable[[str, str, float], str]
"""URL and its path to the query that makes it good."""

_URL_SAFE = str.maketrans("+=/", "-_~")


def plain_file(stream_id: str, path: str) -> str:
    """The file below the CDN's folder. Nothing in it can be read in two ways: all but letters is encoded."""
    return f"{quote(stream_id, '')}/{quote(path)}"


def signed_url(cdn: CdnSettings, sign: Signer, stream_id: str, path: str, now: float) -> str:
    """The signed URL of a stream's file, good from *now* on for a while."""
    file = plain_file(stream_id, path)
    return f"{cdn.url}{file}?{sign(cdn.url + file, cdn.path + file, now)}"


def signer(cdn: CdnSettings) -> Signer:
    """The way of that CDN."""
    return _SIGNERS[cdn.kind](cdn)


def until(cdn: CdnSettings, now: float) -> int:
    """When what is signed now ends."""
    return math.ceil(now + cdn.lifetime)


def canned_policy(resource: str, ends: int) -> bytes:
    """CloudFront's, without spaces: it is signed byte for byte."""
    text = f'{{"Statement":[{{"Resource":"{resource}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{ends}}}}}}}]}}'
    return text.encode()


def cloudfront_base64(content: bytes) -> str:
    """Base64 with other letters than anybody else's."""
    return base64.b64encode(content).decode().translate(_URL_SAFE)


def cloudfront_signature(key: RSAPrivateKey, policy: bytes) -> str:
    """RSA with SHA-1, which is what CloudFront takes."""
    return cloudfront_base64(key.sign(policy, PKCS1v15(), SHA1()))


def akamai_token(key: bytes, ends: int, scope: str) -> str:
    """EdgeAuth 2.0's; *scope*: `url=…`, which is signed and not said, or `acl=…`, which is both."""
    said = f"exp={ends}" + (f"~{scope}" if scope.startswith("acl=") else "")
    signed = said if scope.startswith("acl=") else f"{said}~{scope}"
    return f"{said}~hmac={hmac.digest(key, signed.encode(), 'sha256').hex()}"


def _cloudfront(cdn: CdnSettings) -> Signer:
    key = cdn.private_key()

    def sign(url: str, path: str, now: float) -> str:
        ends = until(cdn, now)
        made = cloudfront_signature(key, canned_policy(url, ends))
        return f"Expires={ends}&Signature={made}&Key-Pair-Id={cdn.key_id}"

    return sign


def _akamai(cdn: CdnSettings) -> Signer:
    key, name = cdn.secret(), cdn.parameter or "hdnts"
    return lambda _, path, now: f"{name}={akamai_token(key, until(cdn, now), f'url={path}')}"


def _fastly(cdn: CdnSettings) -> Signer:
    key, name = cdn.secret(), cdn.parameter or "token"

    def sign(url: str, path: str, now: float) -> str:
        ends = until(cdn, now)
        return f"{name}={ends}_{hmac.digest(key, f'{path}{ends}'.encode(), 'sha1').hex()}"

    return sign


def _cloudflare(cdn: CdnSettings) -> Signer:
    key, name = cdn.secret(), cdn.parameter or "verify"

    def sign(url: str, path: str, now: float) -> str:
        made = base64.b64encode(hmac.digest(key, f"{path}{int(now)}".encode(), "sha256")).decode()
        return f"{name}={int(now)}-{quote(made, '')}"

    return sign


def _cat(cdn: CdnSettings) -> Signer:
    make, name = token_maker(cdn), cdn.parameter or "cat"
    return lambda _, path, now: f"{name}={make({EXACTLY: path}, now, until(cdn, now))}"


_SIGNERS: Mapping[str, Callable[[CdnSettings], Signer]] = {
    "cloudfront": _cloudfront,
    "akamai": _akamai,
    "fastly": _fastly,
    "cloudflare": _cloudflare,
    "cat": _cat,
}
