"""Keys of operators and back ends: their checks, plain or hashed, and the names of their owners."""

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

HASHED = re.compile(r"sha256:[0-9a-f]{64}")
OPERATOR, VIEWER = "operator", "viewer"
"""Values of `by` in marks and events: an operator without a name; the viewer, or one of the user's devices."""


def key_hash(key: str) -> str:
    """`sha256:<hex>` of a plain key; a hashed one unchanged."""
    return key if key.startswith("sha256:") else "sha256:" + sha256(key.encode()).hexdigest()


def require_key(key: str) -> None:
    """Checks a key, plain or hashed. Raises `ValueError`."""
    if key.startswith("sha256:") and not HASHED.fullmatch(key):
        raise ValueError("a hashed key is sha256: and 64 hexadecimal digits in lower case")
    if not key:
        raise ValueError("a key is not empty")


def _role(given: Any) -> Any:
    """The role for a setting's value: `operate` and `operator` mean the same."""
    return {"operator": "operate", "reader": "read"}.get(str(given), given)


class OperatorKey(BaseModel):
    """A key of an operator: a text, or a table with the owner's name and role."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(OPERATOR, min_length=1, max_length=60)
    role: Annotated[Literal["operate", "read"], BeforeValidator(_role)] = "operate"
    hash: SecretStr

    def get_secret_value(self) -> str:
        """The key as it was given, plain or hashed."""
        return self.hash.get_secret_value()

    @model_validator(mode="before")
    @classmethod
    def _text_or_table(cls, given: Any) -> Any:
        if isinstance(given, SecretStr | str):
            return {"hash": given}
        if isinstance(given, cls | dict):
            return given
        raise ValueError("a key is a string, or a table of name, role and hash")

    @model_validator(mode="after")
    def _is_one(self) -> "OperatorKey":
        require_key(self.get_secret_value())
        if "name" in self.model_fields_set and not HASHED.fullmatch(self.get_secret_value()):
            raise ValueError("hash: give sha256:<hex>; `streamlimit keys new --name` prints it")
        wrong = wrong_with_name(self.name)
        if wrong is not None:
            raise ValueError(f"name: {wrong}")
        return self


def wrong_with_name(name: str) -> str | None:
    """Why *name* is not a valid operator's name, in words; None where it is. Names are shown to viewers."""
    if name == VIEWER:
        return f"{VIEWER!r} is what is said of viewers themselves; choose another"
    if name.strip() != name or any(unicodedata.category(each)[0] == "C" for each in name):
        return "holds control or formatting characters, or spaces around it"
    return None


def hashes(keys: Iterable[SecretStr | OperatorKey]) -> set[str]:
    """The hashes of *keys*, plain or hashed, by which they are compared."""
    return {key_hash(key.get_secret_value()) for key in keys}


def _are_keys(keys: list[SecretStr]) -> list[SecretStr]:
    for key in keys:
        require_key(key.get_secret_value())
    return keys


def _are_long(keys: list[SecretStr]) -> list[SecretStr]:
    if any(len(key.get_secret_value()) < 8 for key in keys):
        raise ValueError("a key has at least 8 characters; 16 or more cannot be guessed from a playback URL")
    return keys


def _are_of_one_person(keys: list[OperatorKey]) -> list[OperatorKey]:
    if len(hashes(keys)) < len(keys):
        raise ValueError("the same key stands there twice: each name and role needs keys of its own")
    return keys


Keys = Annotated[list[SecretStr], AfterValidator(_are_keys)]
OperatorKeys = Annotated[list[OperatorKey], AfterValidator(_are_of_one_person)]
GrantKeys = Annotated[list[SecretStr], AfterValidator(_are_long)]
