"""Breakages of webhooks and of the feed of events."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "whose key is taken back goes on hearing",
        "streamlimit/web/events.py",
        "return self._listener.last_word(lost) if lost else await self._listener.take()",
        "return await self._listener.take()",
        ("tests/web/test_events_end.py", "-k", "taken_back"),
    ),
    Mutant(
        "a stream is silent as long as only others have something to hear",
        "streamlimit/web/events.py",
        "if not said and clock() >= silent_until:",
        "if False:",
        ("tests/web/test_event_stream.py",),
    ),
    Mutant(
        "a listener that is too far behind is given what is left",
        "streamlimit/feed/listener.py",
        "if self._place < window.start:",
        "if False:",
        ("tests/feed",),
    ),
    Mutant(
        "v4 in v6 is overlooked",
        "streamlimit/webhooks/addresses.py",
        "if any(address in block for block in TRANSLATED):",
        "if False:",
        ("tests/webhooks/test_addresses.py",),
    ),
    Mutant(
        "only the newest secret signs",
        "streamlimit/webhooks/endpoint.py",
        "for signer in self._signers)",
        "for signer in self._signers[:1])",
        ("tests/webhooks/test_endpoint.py",),
    ),
    Mutant(
        "redirects are followed",
        "streamlimit/webhooks/sender.py",
        "follow_redirects=False",
        "follow_redirects=True",
        ("tests/webhooks/test_sender.py",),
    ),
    Mutant(
        "the name is connected to",
        "streamlimit/webhooks/sender.py",
        "self._url.copy_with(host=address)",
        "self._url",
        ("tests/webhooks/test_sender.py",),
    ),
    Mutant(
        "a failing endpoint is hammered",
        "streamlimit/webhooks/worker.py",
        "return (1 if self.is_failing else self._places) - self.in_flight",
        "return self._places - self.in_flight",
        ("tests/webhooks/test_worker.py",),
    ),
    Mutant(
        "never given up",
        "streamlimit/webhooks/worker.py",
        "if delivery.waited_ms >= self._give_up_ms:",
        "if delivery.waited_ms < 0:",
        ("tests/webhooks/test_worker.py",),
    ),
]
