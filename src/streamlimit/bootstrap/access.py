"""Authentication by the settings: grants, keys, tokens, or open access."""

import asyncio
import secrets

from pydantic import SecretStr

from streamlimit.errors import StoreUnavailable
from streamlimit.settings import OperatorKey, Settings, key_hash
from streamlimit.store.contract import Store, resolved
from streamlimit.web.auth import Authenticator, Key
from streamlimit.web.grants import Grants
from streamlimit.web.identity import Verifier
from streamlimit.web.plans import Plans
from streamlimit.web.rights import Role
from streamlimit.web.token_keys import Keys

STORE_RETRY_SECONDS = 0.5
"""How often an unavailable store is asked for the key: more often than the time without a failure that ends an outage.
"""

KEY_SECONDS = 3.0
"""How often the store is asked whether it still has the key: a worker that starts while it has none makes another."""
KEYS_KEPT, KEYS_KNOWN = 4, 8
"""Most keys that are in the store, and that a worker knows."""


async def open_grants(settings: Settings, store: Store) -> Grants:
    """The grants, with the keys of the settings, else with the one in the store, shared by all workers.

    Where the store is unavailable the key is added later (`share_key_forever`).
    """
    grants = Grants([key.get_secret_value() for key in settings.grant_keys], settings.grant_seconds)
    if not grants.are_known:
        await share_key(grants, store)
    return grants


async def share_key_forever(grants: Grants, store: Store) -> None:
    """Asks the store for the key until it has given it, and later whether it still has it, until cancelled."""
    while True:
        await asyncio.sleep(KEY_SECONDS if grants.are_known else STORE_RETRY_SECONDS)
        await share_key(grants, store)


async def share_key(grants: Grants, store: Store) -> None:
    """Learns the store's keys. A store that lost them (it was emptied, or a replica had not got them) gets them again.

    Where it has another one by then, made by a worker that started meanwhile, that one signs. The older ones are put
    beside it, so that this worker, too, verifies what they signed.
    """
    known = grants.texts
    try:
        found = await _shared(store, known)
    except StoreUnavailable:
        return  # the store's outage is logged already; it is asked again
    keys = list(dict.fromkeys([*found[:1], *known, *found]))[:KEYS_KNOWN]
    if keys != known:
        grants.learn(keys)


async def _shared(store: Store, known: list[str]) -> list[str]:
    """The keys in the store, the one that signs first. The missing ones of *known* were put behind them.

    Each has a name of its own, under which the first one stays: so all workers find the same.
    """
    found: list[str] = []
    for number in range(KEYS_KEPT):
        made = "" if number or known else secrets.token_urlsafe(32)
        missing = next((key for key in known if key not in found), made)
        kept = await resolved(store.secret(f"grant-key-{number}" if number else "grant-key", missing))
        if not kept:
            break
        found.append(kept)
    return found


def open_authenticator(settings: Settings, grants: Grants, plans: Plans) -> Authenticator:
    """The authenticator of callers."""
    return Authenticator(grants, keys_of(settings), plans, _verifier(settings), _uncredentialed(settings))


OPERATORS_ROLES: dict[str, Role] = {"operate": "operator", "read": "reader"}


def keys_of(settings: Settings) -> list[Key]:
    """All keys of the settings, each with its role and its owner's name."""
    service = [_key(key, "service") for key in settings.service_keys]
    readers = [_key(key, "reader") for key in settings.operator_read_keys]
    return service + readers + [_key(key, OPERATORS_ROLES[key.role], key.name) for key in settings.operator_keys]


def _key(key: SecretStr | OperatorKey, role: Role, name: str = "") -> Key:
    return Key(key_hash(key.get_secret_value()), role, name or role)


def _verifier(settings: Settings) -> Verifier | None:
    """The verifier of viewers' tokens; None where the settings name no issuer."""
    if settings.auth != "jwt" or settings.jwt is None:
        return None
    return Verifier(settings.jwt, Keys(settings.jwt))


def _uncredentialed(settings: Settings) -> Role:
    """The role of a caller without a credential."""
    if settings.auth == "jwt":
        return "nobody"
    return "local" if settings.is_loopback else "anyone"
