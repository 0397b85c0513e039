"""The background work of one worker, until it stops."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from streamlimit.bootstrap.access import share_key_forever
from streamlimit.bootstrap.garbage_collector import collect_forever
from streamlimit.edge.access_log import AccessLog
from streamlimit.edge.reported import Reported
from streamlimit.logs import EventLog
from streamlimit.sweeper import expire_forever
from streamlimit.web.service import Service

if TYPE_CHECKING:
    from streamlimit.webhooks.dispatcher import WebhookDispatcher, Work

log = EventLog("streamlimit")

BROKEN_SECONDS = 1.0
"""The pause before failed background work is started again."""


def start(service: Service, dispatcher: "WebhookDispatcher | None") -> "list[asyncio.Task[None]]":
    """Starts all background work, as tasks that end when they are cancelled."""
    work = _work(service) + (dispatcher.work() if dispatcher else [])
    return [asyncio.create_task(go_on_forever(each)) for each in work]


def _work(service: Service) -> "list[Work]":
    every = service.settings.sweep_every_seconds
    work = [service.store.watch_forever, service.counted.count_forever, service.metrics.flush_forever, collect_forever]
    if service.reporter.keep_days:
        work += [service.reporter.flush_forever, service.reporter.sample_forever]
    work.append(service.reporter.tidy_forever)
    work.append(service.series.take_forever)
    work += [service.recorder.write_forever, service.hub.read_forever]
    if service.files is not None:
        work.append(service.files.let_go_forever)
    if not service.settings.grant_keys:
        work.append(partial(share_key_forever, service.grants, service.store))
    if service.authenticator.verifier is not None:
        work.append(service.authenticator.verifier.keys.refresh_forever)
    if service.settings.edge_log is not None:
        reported, seconds = Reported(service), service.settings.segment_seconds
        lines = AccessLog(service.settings.edge_log, seconds, reported, service.tally)
        work.append(lines.listen_forever)
    return [*work, partial(expire_forever, service.limiter, every, log)] if every else work


async def go_on_forever(work: "Work") -> None:
    """Runs *work* until cancelled: an exception, which is a defect, is logged, and the work is started again."""
    while True:
        try:
            await work()
        except Exception as error:
            log.error("background_broken", problem=str(error), exc_info=True)
        await asyncio.sleep(BROKEN_SECONDS)
