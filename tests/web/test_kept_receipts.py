"""What the store says of a receipt that was kept in an outage is said, and counted, as of any other."""

import sqlite3
from pathlib import Path

from streamlimit.bootstrap.service import build_service
from streamlimit.model import Admitted, Ask, Confirmed, Purpose, Receipt
from streamlimit.settings import load_settings
from streamlimit.store.contract import resolved


async def test_the_event_of_a_receipt_that_was_kept_is_counted_once(tmp_path: Path) -> None:
    service = await build_service(load_settings(store=f"sqlite:///{tmp_path}/x.db"))
    limiter, started = service.limiter, lambda: service.tally.events["session.started"]
    admitted = await resolved(limiter.admit(Ask("ann", "tv", "aurora", Purpose.LEASE, "a lease")))
    assert isinstance(admitted, Admitted)
    assert admitted.lease is not None
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    verdict = await resolved(limiter.confirm(Receipt(admitted.lease, "1.m4s", 1)))
    assert isinstance(verdict, Confirmed)
    assert (verdict.degraded, started()) == (True, 0)
    other.close()
    await service.store.flush()
    assert started() == 1
    await resolved(service.store.close())
