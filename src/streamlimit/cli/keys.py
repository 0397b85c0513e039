"""`streamlimit keys`: new keys for operators and back ends, and the list of keys."""

import json
import secrets

from streamlimit.cli.tables import print_table, shown
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings, key_hash, wrong_with_name

SETTINGS = {"operate": "operator_keys", "read": "operator_read_keys", "service": "service_keys"}
"""The setting for a key without a name, by its role."""


def make(role: str, name: str | None) -> None:
    """Makes a key, and prints it once, with the line for the settings."""
    key = f"{role}-{secrets.token_urlsafe(32)}"
    line = f'{SETTINGS[role]} = ["{key_hash(key)}"]' if name is None else _named(role, name, key_hash(key))
    print(f"key (shown only now): {key}")
    print(line)


def show(settings: Settings) -> None:
    """Lists all keys by role and name, and whether they are hashed."""
    found: list[tuple[str, str, str]] = [
        (each.role, each.name, each.get_secret_value()) for each in settings.operator_keys
    ]
    found += [("read", "-", each.get_secret_value()) for each in settings.operator_read_keys]
    found += [("service", "-", each.get_secret_value()) for each in settings.service_keys]
    rows = [(role, shown(name), "hashed" if key.startswith("sha256:") else "in plain") for role, name, key in found]
    print_table(("role", "name", "kept"), rows)


def _named(role: str, name: str, digest: str) -> str:
    if role == "service":
        raise SettingsError("--name", "keys of back ends have no names")
    wrong = wrong_with_name(name) or (None if 1 <= len(name) <= 60 else "a name has 1 to 60 characters")
    if wrong is not None:
        raise SettingsError("--name", wrong)
    quoted = json.dumps(name, ensure_ascii=False)  # also valid TOML, since it has no control characters
    return f'operator_keys = [{{name = {quoted}, role = "{role}", hash = "{digest}"}}]'
