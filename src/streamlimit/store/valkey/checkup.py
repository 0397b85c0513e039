"""The check of a `store` URL with servers: asks each once, with a long time-out, and explains what is wrong."""

import asyncio
from typing import Any

from streamlimit.errors import SettingsError, StoreUnavailable
from streamlimit.store.diagnosis import in_words
from streamlimit.store.valkey.connection import encode
from streamlimit.store.valkey.discovery import NotFound, asking_for_layout, find
from streamlimit.store.valkey.location import Address, Layout, Location, parse, shown
from streamlimit.store.valkey.nodes import Opening, ask_once, login_of

PATIENCE_SECONDS = 2.0
OLDEST = (7, 0)

Info = dict[str, str]


async def check(url: str) -> list[str]:
    """Notes on the servers at *url*. Raises `SettingsError` for a wrong setting, `StoreUnavailable` for no answer."""
    location = parse(url)
    opening = Opening(location.tls, PATIENCE_SECONDS, login_of(location))
    if location.layout is Layout.SINGLE:
        (address,) = location.seeds
        info = await _info(address, opening)
        _must_be_alone(address, info)
        return judge(address, info)
    notes = await _try_seeds(location)
    for address in sorted(await _primaries(location)):
        info = await _info(address, opening, f"{_name(location)} names {shown(address)}, but from here ")
        if location.layout is Layout.SENTINEL:
            _must_be_alone(address, info)
        notes += judge(address, info)
    return notes


async def _try_seeds(location: Location) -> list[str]:
    """Notes on the servers of the URL that do not answer, as long as one does."""
    opening = asking_for_layout(location, PATIENCE_SECONDS)
    found = await asyncio.gather(*(_info(seed, opening) for seed in location.seeds), return_exceptions=True)
    failures = [each for each in found if isinstance(each, BaseException)]
    if len(failures) == len(found):
        raise failures[0]
    for seed, info in zip(location.seeds, found, strict=True):
        if isinstance(info, dict) and location.layout is Layout.CLUSTER and info.get("cluster_enabled") == "0":
            words = "it is no cluster: valkey:// instead of valkey+cluster://"
            raise SettingsError("store", f"{shown(seed)}: {words}")
    return [str(failure).removeprefix("store: ") for failure in failures]


async def _primaries(location: Location) -> set[Address]:
    try:
        plan = await find(location, asking_for_layout(location, PATIENCE_SECONDS), {})
    except NotFound as error:
        raise StoreUnavailable(f"{_name(location)}: {in_words(str(error))} ({error})") from error
    if None in plan:
        raise StoreUnavailable(f"{_name(location)}: {in_words('CLUSTERDOWN')}")
    return {address for address in plan if address is not None}


async def _info(address: Address, opening: Opening, before: str = "") -> Info:
    """The server's INFO."""
    try:
        answer: Any = await ask_once(address, opening, encode("INFO"))
    except (OSError, TimeoutError, StoreUnavailable) as error:
        raise failure_of(error, f"{before}{shown(address)}", opening.tls is not None) from error
    lines = [line.partition(":") for line in answer.decode().splitlines()]
    return {name: value for name, colon, value in lines if colon}


def failure_of(error: Exception, who: str, by_tls: bool) -> StoreUnavailable | SettingsError:
    """The error to raise: a silent or refusing server may come yet; everything else is a wrong setting.

    *who* ends with the address.
    """
    address = who.rpartition(" ")[2]
    said = str(error).removeprefix("valkey: ").removeprefix(f"{address}: ") or "no answer in time"
    is_silent = "in time" in said
    words = in_words(said)
    if by_tls:  # a reset may overtake the alert that would say why
        words = words.replace("wants TLS (valkeys://)", "wants a client's certificate: ?cert=…&key=… in the URL")
        words += ", or it does not speak TLS" if is_silent else ""
    text = f"{who}: {words} ({said})"
    return StoreUnavailable(text) if is_silent or "refused" in words else SettingsError("store", text)


def _must_be_alone(address: Address, info: Info) -> None:
    if info.get("cluster_enabled") == "1":
        words = "it is part of a cluster: valkey+cluster:// instead"
        raise SettingsError("store", f"{shown(address)}: {words}")
    if info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        raise SettingsError("store", f"{shown(address)}: {in_words('READONLY')}; that is {primary}")


def judge(address: Address, info: Info) -> list[str]:
    """The notes on the server at *address*, by its `INFO`: whether it may lose a ledger.

    Raises `SettingsError` for a version that is too old, `StoreUnavailable` for a server that is still loading.
    """
    version = info.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        words = f"it is Redis {version}: 7.0 or later is needed, or any Valkey"
        raise SettingsError("store", f"{shown(address)}: {words}")
    if info.get("loading") == "1":
        raise StoreUnavailable(f"{shown(address)}: {in_words('LOADING')}")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return []
    return [f"{shown(address)}: maxmemory-policy is {policy}; an evicted user is an oversold one: set noeviction"]


def _name(location: Location) -> str:
    return "the sentinel" if location.layout is Layout.SENTINEL else "the cluster"
