"""A screen: one player that takes a segment each X, hangs up, zaps, leaves and comes back, as viewers do."""

import random
import time
from dataclasses import dataclass

from streamlimit.bench.calls import Answer
from streamlimit.bench.stage import NO_STREAM
from streamlimit.bench.viewer_group import ViewerGroup


@dataclass(frozen=True)
class Habits:
    """The probabilities of actions, per segment."""

    hangs_up: float = 0.04
    zaps: float = 0.05
    leaves: float = 0.02
    falls_silent: float = 0.015


HABITS = Habits()
BEATS, COMES_BY_GRANT = 0.2, 0.5
"""Shares of screens that send heartbeats (whose bytes come from elsewhere), and that open a session before playing."""

ZAPS_AT_MOST = 4
"""Most channels in a row while zapping."""


class Screen:
    """The *number*-th screen of *group*, which begins at *due* (monotonic seconds)."""

    def __init__(self, group: ViewerGroup, number: int, rng: random.Random, due: float) -> None:
        self._group, self._run, self._rng, self._due = group, group.run, rng, due
        stage = group.run.stage
        self._name, self._lives, self._comes = f"{group.user_id}-{number}", 1, "came in"
        self._beats = not stage.has_segments or rng.random() < BEATS
        self._comes_by_grant = stage.has_segments and rng.random() < COMES_BY_GRANT
        self._stream = rng.choice(stage.streams) if stage.has_segments else NO_STREAM
        self._left: dict[str, float] = {}
        self._grant: str | None = None
        self._wanted: str | None = None
        self._is_in, self._zaps = False, 0

    @property
    def _session(self) -> str:
        """The screen's session id, the same for every visit until the session is terminated."""
        return self._name if self._lives == 1 else f"{self._name}.{self._lives}"

    async def watch(self) -> None:
        """Plays until the run is over."""
        while await self._run.until(self._due):
            wait = await self._turn()
            self._due = max(self._due + wait, time.monotonic())

    async def _turn(self) -> float:
        """Takes one action; returns the seconds until the next."""
        if not self._is_in:
            return await self._come_in()
        if self._zaps:
            return await self._zap()
        habits, mood = HABITS, self._rng.random()
        if mood < habits.leaves:
            return await self._leave()
        if mood < habits.leaves + habits.falls_silent:
            return self._fall_silent()
        if mood < habits.leaves + habits.falls_silent + habits.zaps:
            self._zaps = self._rng.randint(1, ZAPS_AT_MOST)
            return await self._zap()
        return await self._take()

    async def _come_in(self) -> float:
        self._do(self._comes)
        if not self._comes_by_grant:
            return await self._take()
        form = {"user_id": self._group.user_id, "session_id": self._session, "stream_id": self._stream}
        joined = await self._group.calls.ask("join", "POST", "/v1/sessions", form)
        document = joined.document
        if joined.status not in (200, 201) or not isinstance(document, dict):
            return self._heed(joined)
        self._grant = document.get("grant")
        playlist = str(document.get("playback_url", ""))
        if playlist.startswith("/play/"):  # never to another host
            await self._group.calls.ask("playlist", "GET", playlist)
        return await self._take()

    async def _take(self) -> float:
        """Takes the next segment, or sends a heartbeat."""
        group, session = self._group, self._session
        if self._beats:
            path, form = f"{group.path}/{session}/heartbeat", {"stream_id": self._stream}
            return self._heed(await group.calls.ask("heartbeat", "POST", path, form, self._grant))
        form = {"user_id": group.user_id, "session_id": session, "stream_id": self._stream}
        if self._wanted is not None:
            form["segment"] = self._wanted
        hang_up = self._rng.random() < HABITS.hangs_up
        answer = await group.calls.ask("segment", "POST", "/v1/segments", form, self._grant, hang_up)
        return self._heed(answer)

    async def _zap(self) -> float:
        """Changes to another channel, not one left a moment ago, which would count as a second player (rule 8)."""
        self._zaps -= 1
        now, lifetime = time.monotonic(), self._run.stage.lifetime
        fresh = [s for s in self._run.stage.streams if s != self._stream and now - self._left.get(s, -1e9) > lifetime]
        if not fresh:
            self._zaps = 0
            return await self._take()
        self._do("zapped")
        self._left[self._stream] = now
        self._stream, self._wanted = self._rng.choice(fresh), None
        return await self._take() * (self._rng.uniform(0.1, 0.4) if self._zaps else 1)

    async def _leave(self) -> float:
        self._do("left")
        self._go()
        await self._group.calls.ask("end", "POST", f"{self._group.path}/{self._session}/end")
        return self._run.pace * self._rng.uniform(1, 4)

    def _fall_silent(self) -> float:
        """Stays silent until the seat has expired, as after a crash."""
        self._do("fell silent")
        self._go()
        return self._run.stage.lifetime * self._rng.uniform(1.1, 1.5)

    def _heed(self, answer: Answer) -> float:
        """Acts on an answer; returns the seconds until the next action."""
        if answer.status == 200:
            return self._enjoy(answer)
        if answer.status == 204:
            return self._reach_the_end(answer)
        if answer.status in (409, 410):
            return self._be_refused(answer)
        if answer.status in (401, 404):  # a grant that ended with its session, or a removed stream
            self._go()
        return max(answer.retry_seconds(), self._run.pace)

    def _enjoy(self, answer: Answer) -> float:
        self._is_in = True
        name = answer.headers.get("streamlimit-segment")
        if name is not None and answer.headers.get("streamlimit-sequence") == "0":
            self._run.first_segments.setdefault(self._stream, name)
        if answer.received_at is None:
            self._do("hung up")
        else:
            self._wanted = None
        if not answer.is_degraded:  # an answer from a worker's cache proves no seat
            proof = self._group.proof
            proof.note_issued(self._session, answer.asked_at, answer.answered_at, answer.received_at)
        return self._run.pace

    def _reach_the_end(self, answer: Answer) -> float:
        """Begins the finished stream again, or waits at the live edge."""
        if "streamlimit-end" in answer.headers:
            self._wanted = self._run.first_segments.get(self._stream)
            return 0.0 if self._wanted else self._run.pace
        return self._run.pace

    def _be_refused(self, answer: Answer) -> float:
        if answer.code == "session-limit":
            self._do("refused at the limit")
            if self._group.proof.sat(self._session, answer.answered_at):
                self._do("refused while sitting")
            if not (isinstance(answer.document, dict) and answer.document.get("sessions")):
                self._do("refused without saying who sits")
        self._go()
        self._comes = "tried again"
        if answer.code == "session-terminated":
            self._lives += 1  # the service remembers a terminated session; its viewer starts anew
        return self._run.pace * self._rng.uniform(1, 3)

    def _go(self) -> None:
        self._comes = "came back"
        self._is_in, self._grant, self._wanted, self._zaps = False, None, None, 0
        self._group.proof.note_gone(self._session)

    def _do(self, what: str) -> None:
        self._run.figures.doings[what] += 1
