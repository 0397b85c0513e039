"""AWS Lambda handlers: Endpoint 2 and the webhooks as scheduled functions (deploy/lambda/template.yaml).

Settings come from STREAMLIMIT_… variables; secret ones from an entry of Secrets Manager, a JSON object of settings,
whose id is in STREAMLIMIT_SECRET_ID. The event loop and the store are kept between invocations.
"""

import asyncio
import json
import os
from collections.abc import Coroutine
from importlib import import_module
from typing import Any, Protocol, TypeVar

from streamlimit.bootstrap.feed import open_recorder, recording_limiter
from streamlimit.bootstrap.webhooks import open_dispatcher, open_outbox
from streamlimit.errors import SettingsError
from streamlimit.feed.recorder import Recorder
from streamlimit.limiter import Limiter
from streamlimit.logs import configure_logs
from streamlimit.settings import Settings, load_settings
from streamlimit.store.contract import resolved
from streamlimit.sweeper import expire_once

T = TypeVar("T")

SECRET_ID = "STREAMLIMIT_SECRET_ID"
SPARE_SECONDS = 1.0
"""Seconds of the function's time limit that are left for the answer; a tenth of it where that is less."""


class Context(Protocol):
    """The context of an invocation, as Lambda hands it over."""

    def get_remaining_time_in_millis(self) -> int: ...


def expire(event: object, context: Context) -> dict[str, Any]:
    """The sweep within the time limit. `finished: false`: more is due, for the next invocation."""
    return _warm().run(_expire(_warm(), _seconds_left(context)))


def deliver(event: object, context: Context) -> dict[str, Any]:
    """Sends due webhooks within the time limit. `finished: false`: more are waiting, or an endpoint fails."""
    return _warm().run(_deliver(_warm().settings, _seconds_left(context)))


class Warm:
    """The parts that are kept between invocations: the loop, the settings, the limiter on its store."""

    def __init__(self) -> None:
        configure_logs()
        self.settings = settings_of_function()
        self._loop = asyncio.new_event_loop()
        self._limiter: Limiter | None = None
        self.recorder: Recorder | None = None

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Runs *work*.

        After an error the store is opened anew: a connection may have died while the function was frozen.
        """
        try:
            return self._loop.run_until_complete(work)
        except BaseException:
            self._limiter = None
            raise

    @property
    def limiter(self) -> Limiter:
        if self._limiter is None:
            self.recorder = open_recorder(self.settings)
            self._limiter = recording_limiter(self.settings, self.recorder)
        return self._limiter


def settings_of_function() -> Settings:
    """The function's settings. Raises `SettingsError` for a store that functions cannot share."""
    settings = load_settings(**_secret_settings())
    if settings.store.startswith("sqlite"):
        problem = "SQLite is a file on one machine, which a Lambda function does not see; give valkey://… or the like"
        raise SettingsError("store", problem)
    return settings


async def _expire(warm: Warm, seconds: float) -> dict[str, Any]:
    limiter = warm.limiter
    sweep = await expire_once(limiter, seconds)
    if warm.recorder is not None:
        await warm.recorder.flush()
    return {
        "expired": sweep.expired,
        "abandoned": sweep.abandoned,
        "finished": sweep.finished,
        "callbacks_pending": await resolved(limiter.store.pending()),
    }


async def _deliver(settings: Settings, seconds: float) -> dict[str, Any]:
    """Sends webhooks with parts of this invocation: a frozen function must hold no claim and no pending request."""
    dispatcher = open_dispatcher(settings)
    if dispatcher is None:
        raise SettingsError("callbacks", "none are set, so there is nothing to deliver")
    try:
        finished = await dispatcher.deliver_for(seconds)
    finally:
        await dispatcher.stop(grace_seconds=SPARE_SECONDS / 2)
    counts = [worker.counts for worker in dispatcher.workers]
    return {
        "sent": sum(each.sent for each in counts),
        "failed": sum(each.failed + each.unwanted for each in counts),
        "finished": finished,
        "callbacks_pending": await _pending(settings),
    }


async def _pending(settings: Settings) -> int:
    outbox = open_outbox(settings)
    try:
        return sum(backlog.pending for backlog in await resolved(outbox.backlog()))
    finally:
        await resolved(outbox.close())


def _secret_settings() -> dict[str, Any]:
    name = os.environ.get(SECRET_ID)
    if not name:
        return {}
    session = import_module("botocore.session")  # Lambda's runtime brings it along; no other module needs it
    secrets_manager = session.get_session().create_client("secretsmanager")
    text = secrets_manager.get_secret_value(SecretId=name)["SecretString"]
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError(SECRET_ID, "the secret must be a JSON object of settings")
    return found


def _seconds_left(context: Context) -> float:
    left = context.get_remaining_time_in_millis() / 1_000
    return max(left - min(SPARE_SECONDS, left / 10), 0.0)


_kept: list[Warm] = []


def _warm() -> Warm:
    if not _kept:
        _kept.append(Warm())
    return _kept[0]
