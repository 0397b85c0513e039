"""Monitoring: the numbers of this service, its metrics, whether it runs and whether its store answers."""

import time
from typing import Any

from fastapi import APIRouter, Response

from streamlimit.census import Census
from streamlimit.errors import StoreUnavailable
from streamlimit.store.contract import resolved
from streamlimit.store.diagnosis import in_words
from streamlimit.web.calls import CallerDep, ServiceDep, json_answer
from streamlimit.web.metrics import most, total
from streamlimit.web.problems import RETRY_STORE, Problem
from streamlimit.web.service import Service

router = APIRouter(tags=["operator"])
health = APIRouter(tags=["health"])


@router.get("/v1/stats")
async def stats(service: ServiceDep, _reader: CallerDep) -> Response:
    """Sessions by state, users, streams (from a background count, with its age), and what was decided."""
    census = await service.counted.recent()
    return json_answer(_seats(census) | await _decisions(service))


@health.get("/metrics")
async def metrics(service: ServiceDep, _reader: CallerDep) -> Response:
    """Prometheus metrics of all workers. Wants a reader's key, except with open access on loopback."""
    pending = None if service.outbox is None else await _pending(service)
    text = service.metrics.text(service.counted.look(), time.monotonic(), await _dropped(service), pending)
    return Response(text, headers={"Cache-Control": "no-store"}, media_type="text/plain; version=0.0.4")


@health.get("/healthz")
async def healthz() -> Response:
    """This process runs."""
    return json_answer({"status": "ok"})


@health.get("/readyz")
async def readyz(service: ServiceDep) -> Response:
    """The store answers and takes a write, tried once a second; 503 otherwise, and what is wrong with it. For rollouts:
    a balancer asks `/healthz`, lest an outage of the store empty it.
    """
    problem = await service.readiness.problem()
    if problem:
        raise Problem("store-unavailable", f"the store: {in_words(problem)}", headers=dict(RETRY_STORE))
    return json_answer({"status": "ready"})


def _seats(census: Census | None) -> dict[str, Any]:
    if census is None:
        return dict.fromkeys(("sessions", "users", "users_at_limit", "streams", "counted_seconds_ago"))
    return {
        "sessions": {state: census.states[state] for state in ("starting", "active", "idle")},
        "users": census.users,
        "users_at_limit": census.at_limit,
        "streams": dict(most(census)),
        "counted_seconds_ago": round(time.monotonic() - census.taken_at, 3),
    }


async def _decisions(service: Service) -> dict[str, Any]:
    numbers = service.metrics.numbers()
    seconds, calls = total(numbers, "store_seconds"), total(numbers, "store_calls")
    return {
        "admissions": int(total(numbers, "admissions")),
        "confirmations": int(total(numbers, "confirmations")),
        "refusals": _whole(numbers.get("refusals", {})),
        "would_refuse": _whole(numbers.get("would_refuse", {})),
        "expiries": int(numbers.get("events", {}).get("session.expired", 0)),
        "events": _whole(numbers.get("events", {})),
        "callbacks": {
            "pending": await _pending(service),
            "attempts": _whole(numbers.get("callbacks", {})),
            "dropped": await _dropped(service),
        },
        "workers": {"running": service.metrics.workers(), "expected": service.settings.workers},
        "store": {
            "away": service.store.is_away,
            "degraded_answers": int(total(numbers, "degraded")),
            "latency_ms": round(1_000 * seconds / calls, 3) if calls else None,
        },
    }


async def _pending(service: Service) -> int | None:
    """The number of waiting webhooks; None while the store is unavailable, when the other numbers matter most."""
    try:
        return await resolved(service.store.pending())
    except StoreUnavailable:
        return None


async def _dropped(service: Service) -> dict[str, int]:
    """Dropped events by endpoint; empty while the store is unavailable, when the other metrics matter most."""
    if service.outbox is None:
        return {}
    try:
        return await resolved(service.outbox.dropped())
    except StoreUnavailable:
        return {}


def _whole(labelled: dict[str, float]) -> dict[str, int]:
    return {label: int(value) for label, value in labelled.items() if label and value}
