"""Signed cookies that open one stream's folder, or one file, at a CDN for a time, in each CDN's form.

CloudFront: a custom policy. Akamai: EdgeAuth 2.0 with an ACL. `cat-cookie`: a Common Access Token for one path or all
with a prefix. The folder's cookie goes with admitted media, and with playlists of a session with a seat on the stream;
a file's goes with files that take no seat.
"""

import math
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from streamlimit.edge.access_token import BEGINS, EXACTLY, token_maker
from streamlimit.edge.signed_url import (
    akamai_token,
    canned_policy,
    cloudfront_base64,
    cloudfront_signature,
    plain_file,
    until,
)
from streamlimit.settings.cdn import CdnSettings

CAT_COOKIE = "CTA-Common-Access-Token"

Baker = Callable[[str, float], dict[str, str]]
"""Makes the cookies, by name, that open a path (a folder, with a slash at its end, with all in it) from now on."""


class Cookies:
    """The signed cookies of one CDN. *wall*: seconds of the epoch."""

    def __init__(self, cdn: CdnSettings, wall: Callable[[], float] = time.time) -> None:
        self._cdn, self._bake, self._wall = cdn, _BAKERS[cdn.kind](cdn), wall

    def of(self, stream_id: str) -> list[str]:
        """The values of `Set-Cookie` that open the stream's folder; browsers send these cookies for it alone."""
        return self._for(f"{self._cdn.path}{quote(stream_id, '')}/")

    def of_file(self, stream_id: str, path: str) -> list[str]:
        """The values of `Set-Cookie` that open one file of the stream."""
        return self._for(self._cdn.path + plain_file(stream_id, path))

    def _for(self, path: str) -> list[str]:
        return [f"{name}={value}; {self._terms(path)}" for name, value in self._bake(path, self._wall()).items()]

    def _terms(self, path: str) -> str:
        cdn = self._cdn
        domain = f"; Domain={cdn.cookie_domain}" if cdn.cookie_domain else ""
        # Cross-site requests of a page carry cookies only so, and browsers accept that with TLS only.
        where = "Secure; SameSite=None" if cdn.scheme == "https" else "SameSite=Lax"
        return f"Path={path}; Max-Age={math.ceil(cdn.lifetime)}{domain}; HttpOnly; {where}"


def _cloudfront(cdn: CdnSettings) -> Baker:
    key = cdn.private_key()

    def bake(path: str, now: float) -> dict[str, str]:
        policy = canned_policy(cdn.origin + _all_in(path), until(cdn, now))
        return {
            "CloudFront-Policy": cloudfront_base64(policy),
            "CloudFront-Signature": cloudfront_signature(key, policy),
            "CloudFront-Key-Pair-Id": cdn.key_id or "",
        }

    return bake


def _akamai(cdn: CdnSettings) -> Baker:
    key, name = cdn.secret(), cdn.parameter or "hdnts"
    return lambda path, now: {name: akamai_token(key, until(cdn, now), f"acl={_all_in(path)}")}


def _cat(cdn: CdnSettings) -> Baker:
    make, name = token_maker(cdn), cdn.parameter or CAT_COOKIE
    return lambda path, now: {name: make({BEGINS if path.endswith("/") else EXACTLY: path}, now, until(cdn, now))}


def _all_in(path: str) -> str:
    """The path, with a wildcard for a folder. It has no other wildcard, since it is percent-encoded."""
    return f"{path}*" if path.endswith("/") else path


_BAKERS: Mapping[str, Callable[[CdnSettings], Baker]] = {
    "cloudfront-cookies": _cloudfront,
    "akamai-cookie": _akamai,
    "cat-cookie": _cat,
}
