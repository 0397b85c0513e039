"""Each recipe while streamlimit, or its store, is away for five seconds: who sits plays on, nobody is let in unasked.

ffmpeg plays through all recipes at once, at reading speed. It gives a segment up at the first failure and tries none
again, so it receives the whole stream only where the edge bridges the outage; where it cannot, hls.js plays.
docs/how-to/edges.md says what each edge does.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import Tab, opened
from tests.e2e.cmcd_players import STREAM, start
from tests.edge.away import NEWCOMERS, SECONDS, Outcome, Stage, Told, killed, lost, stopped, told
from tests.edge.calls import some_user
from tests.edge.programs import paused
from tests.edge.recipes import EDGES
from tests.needs import needs
from tests.service import OPERATOR_KEY, Answer, wait_until

KEEP = ["nginx-auth-request", "nginx-lua", "nginx-njs", "haproxy", "varnish"]
"""Edges that keep a yes of who sits, for an outage, and refuse everybody else."""
ASK_AGAIN = ["envoy", "caddy", "traefik"]
"""Edges that have everybody wait for streamlimit, be it that it hangs or is not there."""
WAIT = ["nginx-accel", *ASK_AGAIN]
"""Edges that have everybody wait for a streamlimit that hangs."""
OWN_STATUS = {"nginx-accel", "envoy"}
"""Of those the ones whose viewers see a refusal's own status."""
AS_IT_IS = {"envoy", "traefik"}
"""Edges whose viewers see 403 where streamlimit tells that its store is away; the document says 503."""
REMEMBER = [name for name in KEEP if name != "nginx-auth-request"]
"""Edges that forget a yes when its session is sent away."""

REFUSED = Told({(503, "store-unavailable"): NEWCOMERS})


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    needs("ffmpeg")
    with ExitStack() as stack:
        yield Stage(stack, {"short": 12, "long": 20, STREAM: 20})


@pytest.fixture(scope="module")
def hung(stage: Stage) -> Outcome:
    """The store stopped, the store killed, streamlimit stopped."""
    outages = {"stopped": stopped(stage.server), "killed": lost(stage.server), "streamlimit": paused(stage.service)}
    return stage.played("long", EDGES, outages)


@pytest.fixture(scope="module")
def tab(stage: Stage, browser: Browser, site: str) -> Iterator[Tab]:
    """hls.js, which plays a whole sample through the edge that cannot ask again; with 16 s in its buffer it pauses."""
    edge = stage.edges["nginx-accel"]
    grant = edge.open(some_user(), "tab", STREAM)["grant"]
    outside = f"http://127.0.0.1:{edge.port}"
    with opened(browser, f"{site}/hlsjs") as tab:
        tab.evaluate("void (Hls.DefaultConfig.maxBufferSize = 0, Hls.DefaultConfig.maxBufferLength = 16)")
        start(tab, f"{outside}/play/{grant}/{STREAM}/", "hlsjs", f"{outside}/edge/cmcd/{grant}")
        tab.wait_for("video.buffered.end(0) > 12", SECONDS)
        tab.evaluate("video.pause()")
        yield tab


@pytest.fixture(scope="module")
def gone(stage: Stage, tab: Tab) -> Outcome:
    """streamlimit killed, and started anew; meanwhile the tab plays on, so it wants segments."""

    @contextmanager
    def watched() -> Iterator[None]:
        with killed(stage.service):
            tab.evaluate("void video.play()")
            yield

    return stage.played("short", [*KEEP, *ASK_AGAIN], {"streamlimit": watched()})


class Silence(NamedTuple):
    """Of a streamlimit that hangs until all have given it up: what was said to whom."""

    newcomers: dict[str, Told]
    sent_away: dict[str, Answer]
    elsewhere: Answer


@pytest.fixture(scope="module")
def silence(stage: Stage) -> Silence:
    users = {name: some_user() for name in REMEMBER}
    sent_away = {name: stage.seated(name, user, "short") for name, user in users.items()}
    for user in users.values():
        stage.service.call("DELETE", f"/v1/users/{user}/sessions/s", key=OPERATOR_KEY)
    for name, grant in sent_away.items():
        wait_until(lambda name=name, grant=grant: _status(stage, name, grant) == 410, SECONDS, "the termination")
    odd = f"/play/{stage.seated('varnish', some_user(), 'short')}/short/../long/video-180p/seg-00001.m4s"
    newcomers = {name: stage.newcomers(name, "short") for name in EDGES}
    with paused(stage.service):
        asked = {name: stage.asked(name, "short", grants) for name, grants in newcomers.items()}
        again = {name: stage.asked(name, "short", [grant]) for name, grant in sent_away.items()}
        elsewhere = stage.pool.submit(stage.edges["varnish"].get, odd)
        return Silence(
            {name: told(each) for name, each in asked.items()},
            {name: each[0].result() for name, each in again.items()},
            elsewhere.result(),
        )


def _status(stage: Stage, name: str, grant: str) -> int:
    (answer,) = stage.asked(name, "short", [grant])
    return answer.result().status


@pytest.mark.parametrize("name", EDGES)
def test_who_sits_receives_all_while_the_store_is_away_and_while_streamlimit_hangs(
    stage: Stage, hung: Outcome, name: str
) -> None:
    assert (hung.received[name], hung.seats[name]) == (stage.digests["long"], 1)


@pytest.mark.parametrize("name", [*KEEP, *ASK_AGAIN])
def test_who_sits_receives_all_while_streamlimit_is_started_anew(stage: Stage, gone: Outcome, name: str) -> None:
    assert (gone.received[name], gone.seats[name]) == (stage.digests["short"], 1)


@pytest.mark.usefixtures("gone")
def test_hlsjs_tries_again_and_receives_all_where_the_edge_cannot(tab: Tab) -> None:
    tab.evaluate("void (video.playbackRate = 8)")
    tab.wait_for("ended", SECONDS)
    fetches = "performance.getEntriesByType('resource').filter(({name}) => name.includes('/seg-'))"
    found = tab.evaluate(f"{fetches}.map(({{name, responseStatus}}) => [name.split('?')[0], responseStatus])")
    assert {status for _, status in found} == {200, 503}
    received = [name.rsplit("/", 2)[1:] for name, status in found if status == 200]
    assert len({file for kind, file in received if kind == "audio"}) == 20
    assert len({file for kind, file in received if kind != "audio"}) == 20


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_nobody_new_is_let_in_while_the_store_is_away_and_all_are_told_why(hung: Outcome, name: str, how: str) -> None:
    as_it_is = Told({(403, "store-unavailable"): NEWCOMERS})
    assert hung.newcomers[how][name] == (as_it_is if name in AS_IT_IS else REFUSED)


@pytest.mark.parametrize("name", EDGES)
def test_nobody_new_is_let_in_unasked_while_streamlimit_is_away(hung: Outcome, gone: Outcome, name: str) -> None:
    """Whoever waits is let in or refused by streamlimit itself, when it is back: three of five."""
    decided = Told({(200, ""): 3, (409 if name in OWN_STATUS else 403, "session-limit"): 2})
    assert hung.newcomers["streamlimit"][name] == (decided if name in WAIT else REFUSED)
    assert gone.newcomers["streamlimit"][name] == (decided if name in ASK_AGAIN else REFUSED)


@pytest.mark.parametrize("name", EDGES)
def test_a_streamlimit_that_hangs_is_not_waited_for_without_end(silence: Silence, name: str) -> None:
    assert silence.newcomers[name] == (Told({(504, ""): NEWCOMERS}) if name == "traefik" else REFUSED)


@pytest.mark.parametrize("name", REMEMBER)
def test_who_was_sent_away_does_not_come_back_while_streamlimit_is_away(silence: Silence, name: str) -> None:
    assert silence.sent_away[name].status == (410 if name == "varnish" else 503)


def test_a_kept_yes_for_one_stream_opens_no_other_by_an_odd_path(silence: Silence) -> None:
    assert silence.elsewhere.status == 503
