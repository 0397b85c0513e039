"""The table `cdn`: the CDN of `deliver = "redirect"`, and how its URLs are signed."""

import base64
import binascii
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from streamlimit.settings.kinds import PublicUrl

PEM = "-----BEGIN"
COOKIES = {"cloudfront-cookies", "akamai-cookie", "cat-cookie"}
"""Kinds that sign cookies for the stream's folder, not URLs."""


def _ends_in_a_folder(url: str) -> str:
    return url + "/"


class CdnSettings(BaseModel):
    """The CDN: its kind, its address, the signing key, and how long a URL is valid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal[
        "cloudfront",
        "cloudfront-cookies",
        "akamai",
        "akamai-cookie",
        "fastly",
        "cloudflare",
        "cat",
        "cat-cookie",
    ] = Field(description="how URLs are signed, or the cookies that open the stream's folder")
    url: Annotated[PublicUrl, AfterValidator(_ends_in_a_folder)] = Field(
        description="the folder of the streams there: <url>/<stream_id>/<file>"
    )
    key: SecretStr = Field(
        min_length=1,
        description="cloudfront: the private key (PEM), or the path of its file; akamai: in hexadecimal; "
        "fastly: in Base64; cloudflare: the secret itself; cat: in hexadecimal (HS256), or a private key (PEM, P-256), "
        "or the path of its file (ES256)",
    )
    key_id: str | None = Field(
        None, pattern=r"^[!-~]{1,128}$", description="cloudfront: the id of the public key; cat: its `kid`"
    )
    parameter: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="akamai, fastly, cloudflare, cat: the parameter (hdnts, token, verify, cat), or the cookie's name",
    )
    lifetime: float = Field(30, ge=1, le=86_400, description="how long a URL or cookie is good, in seconds")
    issuer: str = Field("streamlimit", min_length=1, max_length=128, description="cat: what `iss` says")
    cookie_domain: str | None = Field(
        None, pattern=r"^\.?[A-Za-z0-9.-]{1,253}$", description="cookies: of which domain; else of our own host alone"
    )

    @model_validator(mode="after")
    def _key_is_one(self) -> "CdnSettings":
        if self.maker == "cloudfront":
            if self.key_id is None:
                raise ValueError("key_id: cloudfront needs it")
            self.private_key()
        elif self.has_private_key:
            self.elliptic_key()
        elif not self.secret():
            raise ValueError("key: is empty")
        return self

    @property
    def maker(self) -> str:
        """The CDN that defines the signature: the kind without its suffix for cookies."""
        return self.kind.partition("-")[0]

    @property
    def has_private_key(self) -> bool:
        """Is the key a private key?"""
        text = self.key.get_secret_value()
        return self.maker == "cloudfront" or (self.maker == "cat" and (PEM in text or "/" in text))

    @property
    def by_cookies(self) -> bool:
        """Are cookies signed for the stream's folder? Else each URL is signed."""
        return self.kind in COOKIES

    @property
    def path(self) -> str:
        """The path of the CDN's folder."""
        return urlsplit(self.url).path

    @property
    def origin(self) -> str:
        """The CDN's scheme, host and port."""
        return self.url.removesuffix(self.path)

    @property
    def scheme(self) -> str:
        """The CDN's scheme, usually `https`."""
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """The CDN's host, without the port."""
        return urlsplit(self.url).hostname or ""

    def secret(self) -> bytes:
        """The bytes of a secret key (not CloudFront's). Raises `ValueError`."""
        text = self.key.get_secret_value()
        try:
            if self.maker in ("akamai", "cat"):
                return bytes.fromhex(text)
            if self.maker == "fastly":
                return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            form = "Base64" if self.maker == "fastly" else "hexadecimal"
            raise ValueError(f"key: {self.maker}'s is {form}") from None
        return text.encode()

    def private_key(self) -> RSAPrivateKey:
        """CloudFront's private key. Raises `ValueError`."""
        found = self._loaded()
        if not isinstance(found, RSAPrivateKey):
            raise ValueError("key: CloudFront's are RSA keys")
        return found

    def elliptic_key(self) -> EllipticCurvePrivateKey:
        """The private key of tokens (ES256). Raises `ValueError`."""
        found = self._loaded()
        if not isinstance(found, EllipticCurvePrivateKey) or not isinstance(found.curve, SECP256R1):
            raise ValueError("key: cat's is a key of P-256, or in hexadecimal")
        return found

    def _loaded(self) -> PrivateKeyTypes:
        text = self.key.get_secret_value()
        try:
            return load_pem_private_key(text.encode() if PEM in text else Path(text).read_bytes(), None)
        except OSError as error:
            raise ValueError(f"key: its file cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise ValueError("key: is no private key in PEM, without a password") from None
