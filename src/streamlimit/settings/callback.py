"""The table `callbacks`: the endpoints of webhooks, and their event types."""

import re
from base64 import b64decode
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from streamlimit.settings.kinds import require_port

EVENT_TYPES = (
    "session.started",
    "session.moved",
    "session.expired",
    "session.ended",
    "session.terminated",
    "session.abandoned",
    "session.refused",
)


class Callback(BaseModel):
    """One endpoint of webhooks. *types* None: all. *name*: in logs, commands, and the outbox.

    *secret*: `whsec_<base64>` (Standard Webhooks) or any text; each of a list makes a signature (rotation).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://[^\s/?#]+[^\s]*$")
    secret: SecretStr | list[SecretStr]
    types: list[Literal[EVENT_TYPES]] | None = None  # type: ignore[valid-type]
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9._~:@-]{1,64}$")

    @property
    def secrets(self) -> list[str]:
        """All secrets, in plain text."""
        given = self.secret if isinstance(self.secret, list) else [self.secret]
        return [secret.get_secret_value() for secret in given]

    @field_validator("url")
    @classmethod
    def _port_is_one(cls, value: str) -> str:
        require_port(value)
        return value

    @model_validator(mode="after")
    def _secrets_are_keys(self) -> "Callback":
        if not self.secrets or not all(self.secrets):
            raise ValueError("a webhook needs a secret")
        for secret in self.secrets:
            if secret.startswith("whsec_") and not _is_base64(secret.removeprefix("whsec_")):
                raise ValueError("what follows whsec_ must be base64; any other text is taken as it is")
        return self


def _is_base64(text: str) -> bool:
    try:
        return len(b64decode(text + "==")) > 0 and re.fullmatch(r"[A-Za-z0-9+/]+=*", text) is not None
    except ValueError:
        return False


def _are_different(callbacks: list[Callback]) -> list[Callback]:
    names = [callback.name or callback.url for callback in callbacks]
    if len(set(names)) < len(names):
        raise ValueError("two webhooks with the same URL need different names")
    return callbacks


Callbacks = Annotated[list[Callback], AfterValidator(_are_different)]
