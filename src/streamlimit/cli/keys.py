"""`streamlimit keys new`: a key for an operator or a back end."""

import secrets

from streamlimit.settings import key_hash

SETTINGS = {"operate": "operator_keys", "read": "operator_read_keys", "service": "service_keys"}
"""Where a key of each role goes."""


def make(role: str) -> None:
    """Shows it once, and the line for the settings."""
    key = f"{role}-{secrets.token_urlsafe(32)}"
    print(f"key (shown only now): {key}")
    print(f'{SETTINGS[role]} = ["{key_hash(key)}"]')
