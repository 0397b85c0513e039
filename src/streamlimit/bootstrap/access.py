"""Who may call, by what: grants, keys, tokens, or open access."""

import asyncio
import secrets

import structlog
from pydantic import SecretStr

from streamlimit.errors import StoreUnavailable
from streamlimit.settings import Settings
from streamlimit.store.contract import Store, resolved
from streamlimit.web.auth import Doorman, Plans
from streamlimit.web.grants import Grants
from streamlimit.web.identity import Keys, Verifier
from streamlimit.web.rights import Role

log = structlog.get_logger("streamlimit")

STORE_RETRY_SECONDS = 0.5


async def open_grants(settings: Settings, store: Store) -> Grants:
    """What makes and reads grants. Waits for the store where that keeps the key."""
    return Grants(await _grant_keys(settings, store), settings.grant_seconds)


async def _grant_keys(settings: Settings, store: Store) -> list[str]:
    """The keys from the settings, else the one that the store keeps for all workers."""
    given = [key.get_secret_value() for key in settings.grant_keys]
    while not given:
        try:
            given = [await resolved(store.secret("grant-key", secrets.token_urlsafe(32)))]
        except StoreUnavailable as error:
            log.warning("waiting_for_store", problem=str(error))
            await asyncio.sleep(STORE_RETRY_SECONDS)
    return given


def open_doorman(settings: Settings, grants: Grants, plans: Plans) -> Doorman:
    """Who finds out what a caller may do."""
    return Doorman(grants, _keys(settings), plans, _verifier(settings), _uncredentialed(settings))


def _keys(settings: Settings) -> dict[Role, list[str]]:
    held: dict[Role, list[SecretStr]] = {
        "service": settings.service_keys,
        "reader": settings.operator_read_keys,
        "operator": settings.operator_keys,
    }
    return {role: [key.get_secret_value() for key in keys] for role, keys in held.items()}


def _verifier(settings: Settings) -> Verifier | None:
    """Who verifies viewers' tokens; None where there are none."""
    if settings.auth != "jwt" or settings.jwt is None:
        return None
    return Verifier(settings.jwt, Keys(settings.jwt))


def _uncredentialed(settings: Settings) -> Role:
    """What a caller without a credential is."""
    if settings.auth == "jwt":
        return "nobody"
    return "local" if settings.is_loopback else "anyone"
