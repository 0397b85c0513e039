"""Signed URLs of CDNs, valid for a time, in each CDN's form. Pure; *now*: seconds of the epoch.

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
"""Makes the query that signs a URL, from the URL, its path and the time."""

_URL_SAFE = str.maketrans("+=/", "-_~")


def plain_file(stream_id: str, path: str) -> str:
    """The file's path below the CDN's folder, with all but letters encoded, so that it can be read in one way only."""
    return f"{quote(stream_id, '')}/{quote(path)}"


def signed_url(cdn: CdnSettings, sign: Signer, stream_id: str, path: str, now: float) -> str:
    """The signed URL of a stream's file, valid from *now* on."""
    file = plain_file(stream_id, path)
    return f"{cdn.url}{file}?{sign(cdn.url + file, cdn.path + file, now)}"


def signer(cdn: CdnSettings) -> Signer:
    """The signer for the kind of *cdn*."""
    return _SIGNERS[cdn.kind](cdn)


def until(cdn: CdnSettings, now: float) -> int:
    """The expiry of a signature made *now*, in seconds of the epoch."""
    return math.ceil(now + cdn.lifetime)


def canned_policy(resource: str, ends: int) -> bytes:
    """CloudFront's canned policy, without spaces: it is signed byte for byte."""
    text = f'{{"Statement":[{{"Resource":"{resource}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{ends}}}}}}}]}}'
    return text.encode()


def cloudfront_base64(content: bytes) -> str:
    """Base64 in CloudFront's alphabet."""
    return base64.b64encode(content).decode().translate(_URL_SAFE)


def cloudfront_signature(key: RSAPrivateKey, policy: bytes) -> str:
    """CloudFront's signature: RSA with SHA-1."""
    return cloudfront_base64(key.sign(policy, PKCS1v15(), SHA1()))


def akamai_token(key: bytes, ends: int, scope: str) -> str:
    """A token of EdgeAuth 2.0. *scope*: `url=…`, which is signed but not part of it, or `acl=…`, which is both."""
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
