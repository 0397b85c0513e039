"""Heartbeats that are packed from what they have in common are what they would be, packed each by itself."""

from itertools import product
from typing import Any

import pytest

from streamlimit.model import Ask, Device, Lease, Purpose, Receipt
from streamlimit.store.valkey.alike import alike_ask_message, alike_receipt_message
from streamlimit.store.valkey.messages import ask_message, receipt_message

DEVICES = (None, "tv", Device(id="tv", name="Living room", type="big"), Device(type="big"))
SESSIONS = ("tv", "5f0c2f4e-8f0b-4b57-9a57-0e8a0a3a1b11", "x" * 128)


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"limit": 5, "client": "c1"},
        {"may_start": False, "grant_generation": 1_790_000_000_000},
        {"kind": "audio", "stream_id": "b"},
        {"sequence": 7},
        {"replace": "phone"},
        {"lease_id": "lease-1"},
        {"lease_id": "5f0c2f4e-8f0b-4b57-9a57-0e8a0a3a1b11"},
        {"purpose": Purpose.CHECK},
        {"purpose": Purpose.SEAT},
    ],
    ids=str,
)
def test_an_ask_is_the_same_whether_or_not_others_asked_alike(terms: dict[str, Any]) -> None:
    for session, device, cap in product(SESSIONS, DEVICES, (None, 2)):
        ask = Ask(
            "u",
            session,
            terms.get("stream_id", "a"),
            device=device,
            **{k: terms[k] for k in terms.keys() - {"stream_id"}},
        )
        assert alike_ask_message(ask, cap) == ask_message(ask, cap)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"kind": "audio"},
        {"segment": "s-1", "sequence": 1, "play_ms": 6_000},
        {"segment": "s-1"},
        {"sequence": 1},
        {"play_ms": 6_000},
        {"age_ms": 250},
    ],
    ids=str,
)
@pytest.mark.parametrize("admitted_ms", [0, 1_790_000_000_123])
def test_a_receipt_is_the_same_whether_or_not_others_are_alike(said: dict[str, Any], admitted_ms: int) -> None:
    for session, device, cap, limit in product(SESSIONS, DEVICES, (None, 2), (None, 4)):
        ask = Ask("u", session, "a", device=device, client="c1", limit=limit)
        receipt = Receipt(Lease(ask, 1_790_000_000_000, 3, admitted_ms), **said)
        assert alike_receipt_message(receipt, cap) == receipt_message(receipt, cap)
