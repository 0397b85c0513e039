"""`cdn`: where `deliver = "redirect"` sends players, and how the URL is signed."""

import base64
import binascii
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from streamlimit.settings.kinds import PublicUrl

PEM = "-----BEGIN"


def _ends_in_a_folder(url: str) -> str:
    return url + "/"


class CdnSettings(BaseModel):
    """The CDN: its kind, its address, the key it shares with us, and how long a URL is good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["cloudfront", "akamai", "fastly", "cloudflare"] = Field(description="how URLs are signed")
    url: Annotated[PublicUrl, AfterValidator(_ends_in_a_folder)] = Field(
        description="the folder of the streams there: <url>/<stream_id>/<file>"
    )
    key: SecretStr = Field(
        min_length=1,
        description="cloudfront: the private key (PEM), or the path of its file; akamai: in hexadecimal; "
        "fastly: in Base64; cloudflare: the secret itself",
    )
    key_id: str | None = Field(None, min_length=1, max_length=128, description="cloudfront: the id of the public key")
    parameter: str | None = Field(
        None,
        pattern=r"^\w{1,32}$",
        description="akamai, fastly, cloudflare: the URL's parameter (hdnts, token, verify)",
    )
    lifetime: float = Field(30, ge=1, le=86_400, description="how long a URL is good, in seconds")

    @model_validator(mode="after")
    def _key_is_one(self) -> "CdnSettings":
        if self.kind == "cloudfront":
            if self.key_id is None:
                raise ValueError("key_id: cloudfront needs it")
            self.private_key()
        elif not self.secret():
            raise ValueError("key: is empty")
        return self

    @property
    def path(self) -> str:
        """Of the folder."""
        return urlsplit(self.url).path

    def secret(self) -> bytes:
        """The key's bytes, but for CloudFront. Raises `ValueError`."""
        text = self.key.get_secret_value()
        try:
            if self.kind == "akamai":
                return bytes.fromhex(text)
            if self.kind == "fastly":
                return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            form = "hexadecimal" if self.kind == "akamai" else "Base64"
            raise ValueError(f"key: {self.kind}'s is {form}") from None
        return text.encode()

    def private_key(self) -> RSAPrivateKey:
        """CloudFront's. Raises `ValueError`."""
        text = self.key.get_secret_value()
        try:
            found = load_pem_private_key(text.encode() if PEM in text else Path(text).read_bytes(), None)
        except OSError as error:
            raise ValueError(f"key: its file cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise ValueError("key: is no private key in PEM, without a password") from None
        if not isinstance(found, RSAPrivateKey):
            raise ValueError("key: CloudFront's are RSA keys")
        return found
