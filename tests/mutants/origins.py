"""Breakages of streams at an HTTP origin."""

from tests.mutants.mutant import Mutant

ADDRESS, CLIENT = "streamlimit/delivery/origin/address.py", "streamlimit/delivery/origin/client.py"
SOURCE, CATALOG = "streamlimit/delivery/origin/source.py", "streamlimit/delivery/origin/catalog.py"
VIEWER, DELIVERY = "streamlimit/web/origin.py", "streamlimit/web/delivery.py"
URLS, PLAYED = ("tests/origin/test_address.py",), ("tests/origin/test_origin.py",)
LIVE = ("tests/origin/test_origin_live.py",)

FAILS = ("tests/origin/test_origin.py", "-k", "fails_keeps and endpoint")


def played(which: str) -> tuple[str, ...]:
    return (*PLAYED, "-k", which)


def live(which: str) -> tuple[str, ...]:
    return (*LIVE, "-k", which)


MUTANTS = [
    Mutant(
        "an origin's redirect leads anywhere",
        ADDRESS,
        "return led if is_here and _is_plain(led)",
        "return led if _is_plain(led)",
        URLS,
    ),
    Mutant(
        "a slash in a stream id is one of the url's",
        ADDRESS,
        "{quote(stream_id, safe='')}/",
        "{quote(stream_id, safe='/?#')}/",
        URLS,
    ),
    Mutant(
        "an answer without a length is taken for whole",
        CLIENT,
        'if told is None and "chunked"',
        'if told is None and "nothing" and False and "chunked"',
        played("fails_keeps"),
    ),
    Mutant(
        "a chunked answer that is broken off is whole",
        DELIVERY,
        "    if relay.length is None:\n        coming",
        "    if relay.length is not None:\n        coming",
        played("without_a_length"),
    ),
    Mutant("a bomb unpacks at once", CLIENT, "if size > most:", "if size > 100 * most:", live("oversized")),
    Mutant(
        "another range than was asked for is sent",
        SOURCE,
        "skip, left = self.skipped, self.length",
        "skip, left = 0, self.length",
        played("cut_out"),
    ),
    Mutant(
        "an origin's failure keeps the seat",
        "streamlimit/limiter.py",
        "            await self.fail()\n        elif",
        "            pass\n        elif",
        FAILS,
    ),
    Mutant(
        "an unchanged file counts as received",
        VIEWER,
        "counted(holder.admitted))\n            await holder.abandon()\n        else",
        "counted(holder.admitted))\n        else",
        played("brings_no_media"),
    ),
    Mutant(
        "every viewer asks the origin",
        CATALOG,
        "        running = self._running.get(key)\n",
        "        running = None\n",
        live("at_once"),
    ),
    Mutant(
        "unknown streams are looked for each time",
        CATALOG,
        "self._unknown[stream_id] = self._clock() + self._keep",
        "self._unknown[stream_id] = self._clock()",
        played("once_in_a_while"),
    ),
    Mutant(
        "the origin hears the viewer's whole query",
        "streamlimit/web/blocking.py",
        'return f"_HLS_msn={reload.sequence}{part}"',
        "return query.decode()",
        live("blocking"),
    ),
    Mutant(
        "who left is waited for",
        "streamlimit/web/leaving.py",
        "            leash.reschedule(loop.time())",
        "            pass",
        live("leaves"),
    ),
    Mutant(
        "reports of one session are told at once",
        "streamlimit/edge/reported.py",
        "sessions.setdefault(report.whose, [])",
        "sessions.setdefault(str(index), [])",
        ("tests/edge/test_reports.py", "-k", "last_of_a_batch"),
    ),
    Mutant(
        "what an edge tells comes from nowhere",
        "streamlimit/delivery/entrusted.py",
        'return self._clients.get((user_id, session_id), "")',
        'return ""',
        ("tests/edge/test_reports.py", "-k", "seeks_back"),
    ),
]
