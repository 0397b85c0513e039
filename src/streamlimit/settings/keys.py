"""Keys: what one must look like, in plain or hashed."""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated

from pydantic import AfterValidator, SecretStr

HASHED = re.compile(r"sha256:[0-9a-f]{64}")


def key_hash(key: str) -> str:
    """`sha256:<hex>` of a plain key; a hashed one as it is."""
    return key if key.startswith("sha256:") else "sha256:" + sha256(key.encode()).hexdigest()


def hashes(keys: Iterable[SecretStr]) -> set[str]:
    """By which they are compared, however each was given."""
    return {key_hash(key.get_secret_value()) for key in keys}


def _are_keys(keys: list[SecretStr]) -> list[SecretStr]:
    for key in keys:
        text = key.get_secret_value()
        if text.startswith("sha256:") and not HASHED.fullmatch(text):
            raise ValueError("a hashed key is sha256: and 64 hexadecimal digits in lower case")
        if not text:
            raise ValueError("a key is not empty")
    return keys


def _are_long(keys: list[SecretStr]) -> list[SecretStr]:
    if any(len(key.get_secret_value()) < 8 for key in keys):
        raise ValueError("a key has at least 8 characters; 16 or more cannot be guessed from a playback URL")
    return keys


Keys = Annotated[list[SecretStr], AfterValidator(_are_keys)]
GrantKeys = Annotated[list[SecretStr], AfterValidator(_are_long)]
