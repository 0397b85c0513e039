"""The table `jwt`: how viewers' tokens are verified."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from streamlimit.settings.kinds import LOOPBACK, require_port


class JwtSettings(BaseModel):
    """Settings of `auth = "jwt"`: how viewers' tokens are verified, and the names of their claims."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jwks_url: str | None = Field(None, description="the provider's public keys; https, or http on loopback")
    secret_file: Path | None = Field(None, description="instead: a file with the shared secret of HS256")
    issuer: str | None = Field(None, description="what `iss` must be; left out: not looked at")
    audience: str | None = Field(None, description="what `aud` must be or contain; left out: not looked at")
    user_claim: str = Field("sub", min_length=1, description="the claim that names the user")
    encode_user: bool = Field(False, description="a user's / and \\ become %2F and %5C (and % %25): URLs as users")
    limit_claim: str = Field("streamlimit_limit", min_length=1, description="the claim with the user's limit")
    plan_claim: str = Field("streamlimit_plan", min_length=1, description="the claim that names the user's plan")
    streams_claim: str = Field("streamlimit_streams", min_length=1, description="the claim that lists the streams")
    leeway_seconds: float = Field(30, ge=0, le=600, description="how far clocks may differ")
    jwks_seconds: float = Field(600, ge=1, le=86_400, description="how often the provider's keys are fetched")
    jwks_stale_seconds: float = Field(86_400, ge=1, description="how long keys count while the provider is unavailable")

    @field_validator("jwks_url")
    @classmethod
    def _url_is_safe(cls, value: str | None) -> str | None:
        if value is not None and not re.match(rf"https://[^\s/?#]|http://({LOOPBACK.pattern})(:\d+)?(/|$)", value):
            raise ValueError("give https://…, or http://… on loopback: who changes the keys lets anyone in")
        if value is not None:
            require_port(value)
        return value

    @field_validator("secret_file")
    @classmethod
    def _secret_is_long(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                secret = value.read_bytes().strip()
            except OSError as error:
                raise ValueError(f"{value} cannot be read: {error.strerror}") from error
            if len(secret) < 32:
                raise ValueError("a secret of HS256 has at least 32 bytes")
        return value

    @model_validator(mode="after")
    def _keys_are_of_one_kind(self) -> "JwtSettings":
        if (self.jwks_url is None) == (self.secret_file is None):
            raise ValueError("give jwks_url or secret_file, one of the two")
        return self

    @property
    def secret(self) -> bytes | None:
        """The shared secret; None: the provider's public keys are used."""
        return None if self.secret_file is None else self.secret_file.read_bytes().strip()
